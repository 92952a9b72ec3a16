"""Child processes of an unmodified program, whichever way they are started."""

from __future__ import annotations

from collections import Counter

import pytest

from harness import OtlpReceiver, run_program

RUN = ("-m", "stagelight", "run")

PROGRAM = """
import multiprocessing, sys

class Square:
    def process(self, number):
        if number == 7:
            raise ValueError(number)
        return number * number

def double(number):
    return number * 2

def work(numbers, squares):
    stage = Square()
    while (number := numbers.get()) is not None:
        try:
            squares.put(stage.process(double(number) // 2))
        except ValueError:
            squares.put(None)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    numbers, squares = context.Queue(), context.Queue()
    children = [context.Process(target=work, args=(numbers, squares)) for _ in range(2)]
    for child in children:
        child.start()
    for number in range(20):
        numbers.put(number)
    for child in children:
        numbers.put(None)
    print(sum(squares.get() or 0 for _ in range(20)))
    for child in children:
        child.join()
    print([child.exitcode for child in children])
"""
METHODS = ("fork", "spawn", "forkserver")


@pytest.mark.parametrize("method", METHODS)
def test_children_export_what_they_observe(method: str) -> None:
    """Stages that run in children only arrive whole, under the parent's names."""
    with OtlpReceiver() as receiver:
        done = run_program(
            PROGRAM,
            method,
            prefix=(*RUN, "--no-table", "--stage", "program:double"),
            env=receiver.environment("http/protobuf"),
        )
        counts: Counter[tuple[str, str]] = Counter()
        for point in receiver.last("stagelight.stage.consumed.events"):
            stage, outcome = (
                point.attributes[f"stagelight.{key}"]
                for key in ("stage.name", "outcome")
            )
            counts[stage, outcome] += point.value
        spans = receiver.spans()
        failed = [log.attributes["stagelight.stage.name"] for log in receiver.logs()]
    assert (done.returncode, done.stdout) == (0, "2421\n[0, 0]\n")
    assert done.stderr == ""
    assert +counts == {
        ("Square", "success"): 19,
        ("Square", "failure"): 1,
        ("double", "success"): 20,
    }
    assert Counter(span.name for span in spans) == {
        "ingest program": 20,
        "process double": 20,
        "process Square": 20,
    }
    assert {span.resource["service.name"] for span in spans} == {"program"}
    assert failed == ["Square"]


POOL = """
import multiprocessing, sys
from multiprocessing.pool import ThreadPool

class Square:
    def process(self, number):
        return number * number

def work(number):
    return Square().process(number)

if __name__ == "__main__":
    if sys.argv[1] == "thread":
        pool = ThreadPool(2)
    else:
        pool = multiprocessing.get_context(sys.argv[1]).Pool(2, maxtasksperchild=2)
    with pool:
        print(sum(pool.map(work, range(20))), pool.apply(work, (3,)))
        print(list(pool.imap(work, range(4))), pool.starmap(pow, [(2, 3)]))
"""


@pytest.mark.parametrize("method", [*METHODS, "thread"])
def test_a_pool_of_multiprocessing(method: str) -> None:
    """Calls and what they call are counted, in workers that are replaced as well."""
    with OtlpReceiver() as receiver:
        done = run_program(
            POOL,
            method,
            prefix=(*RUN, "--no-table"),
            env={
                "STAGELIGHT_JOURNEYS_PER_SECOND": "all",
                **receiver.environment("http/protobuf"),
            },
        )
        counts: Counter[str] = Counter()
        for point in receiver.last("stagelight.stage.consumed.events"):
            counts[point.attributes["stagelight.stage.name"]] += point.value
        spans = receiver.spans()
        waits = sum(
            one.count for one in receiver.last("stagelight.queue.wait.duration")
        )
    assert (done.returncode, done.stdout) == (0, "2470 9\n[0, 1, 4, 9] [8]\n")
    assert done.stderr == ""
    assert counts == {"pool": 26, "Square": 25}
    assert waits == 26
    assert Counter(span.name for span in spans) == {
        "ingest program": 26,
        "process pool": 26,
        "process Square": 25,
    }
    names = {span.span_id: span.name for span in spans}
    nested = [names[one.parent_id] for one in spans if one.name == "process Square"]
    assert set(nested) == {"process pool"}


PARENT = """
import multiprocessing, sys
from opentelemetry import trace

class Square:
    def process(self, number):
        return number * number

def work():
    Square().process(3)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with trace.get_tracer("program").start_as_current_span("run"):
        child = context.Process(target=work)
        child.start()
        child.join()
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_child_goes_on_with_the_context(method: str) -> None:
    """Stages of a child are in the trace of the span that it was started in."""
    with OtlpReceiver() as receiver:
        run_program(
            PARENT,
            method,
            prefix=(*RUN, "--no-table"),
            env=receiver.environment("http/protobuf"),
        )
        spans = receiver.spans()
    names = {span.span_id: span.name for span in spans}
    assert {(one.name, names.get(one.parent_id)) for one in spans} == {
        ("process Square", "run"),
        ("run", None),
    }


@pytest.mark.parametrize("method", METHODS)
def test_the_table_says_what_it_cannot_show(method: str) -> None:
    """Without a collector, a line tells where the children's stages went."""
    done = run_program(PROGRAM, method, prefix=RUN)
    assert (done.returncode, done.stdout) == (0, "2421\n[0, 0]\n")
    assert (
        "children 2 processes were started; what ran there is not in this table, set "
        "OTEL_EXPORTER_OTLP_ENDPOINT to export it from there telemetry"
    ) in " ".join(done.stderr.split())


def test_a_spawned_child_writes_json_lines_too() -> None:
    """Failed events of a spawned child are written like those of a forked one."""
    texts = {
        method: run_program(
            PROGRAM, method, prefix=(*RUN, "--no-table", "--json-logs")
        ).stderr
        for method in ("fork", "spawn")
    }
    for text in texts.values():
        (line,) = text.splitlines()
        assert '"stagelight.stage.name": "Square"' in line
