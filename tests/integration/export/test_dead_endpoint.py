"""Where nobody listens: one warning, bounded memory, a true count, and no delay."""

from __future__ import annotations

import json
import time

import pytest

from harness import OtlpReceiver, run_program, start_program
from harness.timing import least

#: An event, an export and a failure every now and then, and what became of it all.
PROGRAM = """
    import json, sys, time
    import psutil
    import stagelight

    stagelight.configure(service_name="dead", journeys_per_second="all")
    pipeline = stagelight.Pipeline("dead")

    @pipeline.stage
    def work(event):
        if event % 100 == 0:
            raise ValueError(event)
        return event

    def run(events):
        for event in events:
            try:
                work(event)
            except ValueError:
                pass

    memory = psutil.Process().memory_info
    run(range(4_000))
    before = memory().rss
    started = time.monotonic()
    run(range(int(sys.argv[1])))
    took = time.monotonic() - started
    grown = memory().rss - before
    stagelight.shutdown(float(sys.argv[2]))
    print(json.dumps({
        "took": took,
        "grown": grown,
        "lost": pipeline.stats()["process"]["telemetry_dropped"],
        "count": pipeline.stats()["stages"]["work"]["count"],
        "errors": pipeline.stats()["process"]["telemetry_errors"],
    }))
"""


@pytest.fixture
def dead(protocol):
    """The environment of a program at whose endpoint nobody listens, ever."""
    with OtlpReceiver() as receiver:
        receiver.refuse()
        yield {
            **receiver.environment(protocol),
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_BLRP_SCHEDULE_DELAY": "100",
        }


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_dead_endpoint(dead, protocol):
    """Every span and record is counted as lost, one line says so, memory is bounded."""

    def run() -> float:
        started = time.monotonic()
        result = run_program(PROGRAM, "40000", "1", env=dead)
        took = time.monotonic() - started
        found = json.loads(result.stdout)
        assert result.returncode == 0
        (line,) = result.stderr.splitlines()
        assert line.startswith("stagelight cannot export ")
        assert "is counted in stagelight.telemetry.dropped" in line
        assert found["count"] == 44_000
        # A root and a stage span for each event; a record for each failure.
        assert found["lost"]["traces"] == 88_000
        assert found["lost"]["logs"] == 440
        assert found["lost"]["metrics"] >= 1
        assert found["errors"] == {}
        assert found["grown"] < 30_000_000
        return took - found["took"]

    assert least(run, 10) < 10


def test_an_endpoint_that_comes_back(tmp_path):
    """What came too early is lost and counted, what comes later arrives; both told."""
    program = """
    import sys, time
    from pathlib import Path
    import stagelight

    stagelight.configure(service_name="back", journeys_per_second="all")
    pipeline = stagelight.Pipeline("back")

    @pipeline.stage
    def work(event):
        return event

    work("early")
    stagelight.force_flush()
    print("gone", flush=True)
    while not Path(sys.argv[1]).exists():
        time.sleep(0.02)
    work("late")
    stagelight.force_flush()
    print(pipeline.stats()["process"]["telemetry_dropped"])
    """
    with OtlpReceiver() as receiver:
        receiver.answer(400)
        env = receiver.environment("http/protobuf")
        recovered = tmp_path / "recovered"
        with start_program(program, str(recovered), env=env) as running:
            running.wait_for_line("gone")
            receiver.recover()
            recovered.touch()
            result = running.finish()
        names = [span.name for span in receiver.spans()]
    assert result.returncode == 0
    first, *_, last = result.stderr.splitlines()
    assert first.startswith("stagelight cannot export ")
    assert last.startswith("stagelight exports ")
    assert "again; lost meanwhile: " in last
    assert names == ["ingest back", "process work"]
    assert "{'traces': 2" in result.stdout


def test_a_full_queue_is_counted():
    """A burst that the SDK's queue cannot hold is lost, counted, and told once."""
    with OtlpReceiver() as receiver:
        env = {
            **receiver.environment("http/protobuf"),
            "OTEL_BSP_MAX_QUEUE_SIZE": "64",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "64",
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
        }
        result = run_program(PROGRAM, "1000", "60", env=env)
        arrived = len(receiver.spans())
    found = json.loads(result.stdout)
    assert arrived + found["lost"]["traces"] == 2 * found["count"]
    assert found["lost"]["traces"] > 0
    (line,) = result.stderr.splitlines()
    assert "OTEL_BSP_MAX_QUEUE_SIZE holds more" in line


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("status", [400, 503])
def test_a_collector_that_refuses(protocol, status):
    """Telemetry that is turned away is lost, with a reason in one line."""
    with OtlpReceiver() as receiver:
        receiver.answer(status)
        env = receiver.environment(protocol)
        result = run_program(PROGRAM, "100", "1", env=env)
        assert receiver.requests
    found = json.loads(result.stdout)
    (line,) = result.stderr.splitlines()
    assert line.startswith("stagelight cannot export ")
    assert found["lost"]["traces"] == 2 * found["count"]
    assert found["lost"]["logs"] == 41
