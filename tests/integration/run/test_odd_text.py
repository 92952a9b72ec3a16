"""Texts of the program's that OTLP cannot carry, or should not."""

from __future__ import annotations

import pytest

from harness import OtlpReceiver, run_program

RUN = ("-m", "stagelight", "run", "--no-table")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_lone_surrogate_costs_no_batch(protocol: str) -> None:
    """A file name that is no UTF-8 is spelled out, and everything arrives."""
    program = r"""
        import threading
        class Odd(Exception): pass
        Odd.__qualname__ = "Odd\udc80"
        class Stage:
            def process(self, event):
                if event["id"] != "fine":
                    raise Odd("cannot read " + event["id"])
        def work():
            for name in ("fine", "caf\udce9", "caf\u00e9"):
                try:
                    Stage().process({"id": name})
                except Odd:
                    pass
        thread = threading.Thread(target=work, name="w\udcff")
        thread.start()
        thread.join()
    """
    with OtlpReceiver() as receiver:
        done = run_program(program, prefix=RUN, env=receiver.environment(protocol))
        logs = receiver.logs()
        spans = [span for span in receiver.spans() if span.name == "process Stage"]
        points = receiver.last("stagelight.stage.process.duration")
    assert (done.returncode, done.stderr) == (0, "")
    assert [log.attributes["stagelight.event.id"] for log in logs] == [
        r"caf\udce9",
        "café",
    ]
    assert [log.attributes["exception.message"] for log in logs] == [
        r"cannot read caf\udce9",
        "cannot read café",
    ]
    assert {log.attributes["exception.type"] for log in logs} == {r"__main__.Odd\udc80"}
    assert [span.attributes["stagelight.event.id"] for span in spans] == [
        "fine",
        r"caf\udce9",
        "café",
    ]
    assert {span.attributes["thread.name"] for span in spans} == {r"w\udcff"}
    assert {point.attributes.get("error.type") for point in points} == {
        None,
        r"__main__.Odd\udc80",
    }


def test_a_huge_message_is_cut() -> None:
    """An exception that holds its payload does not fill the exporter's queue."""
    program = """
        class Stage:
            def process(self, event):
                raise ValueError("x" * 10_000_000)
        try:
            Stage().process(1)
        except ValueError:
            pass
    """
    with OtlpReceiver() as receiver:
        environment = receiver.environment("http/protobuf")
        done = run_program(program, prefix=RUN, env=environment)
        (log,) = receiver.logs()
        span = next(one for one in receiver.spans() if one.name == "process Stage")
    assert (done.returncode, done.stderr) == (0, "")
    assert log.attributes["exception.message"] == "x" * 16_384
    assert span.status == ("ERROR", "x" * 16_384)
    assert len(log.attributes["exception.stacktrace"]) <= 16_384
