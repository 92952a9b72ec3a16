"""A pipeline keeps its pace, in bounded memory, whatever the stack does."""

from __future__ import annotations

import json
import signal
import statistics
import time
from itertools import pairwise

import pytest

from harness import start_program
from harness.backends import eventually
from realstack import Ports, get
from realstack.stack import collector as make_collector

#: Seconds of one phase, and of its beginning that does not count.
PHASE, SETTLE = 2.5, 0.3

STEADY = """
    import json, sys, time
    from pathlib import Path

    import psutil
    import stagelight

    stagelight.configure(service_name="steady")
    pipeline = stagelight.Pipeline("steady")

    @pipeline.stage
    def first(event):
        return sum(range(200)) + event["id"]

    @pipeline.stage
    def second(event):
        if event["id"] % 1000 == 0:
            raise ValueError(event["id"])
        return sum(range(200)) + event["id"]

    stop, rounds, total = Path(sys.argv[1]), [], 0
    memory = psutil.Process().memory_info
    print("ready")
    before = memory().rss

    def robbed():
        # Seconds in which this thread could have run, and others had the processor.
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9

    while not stop.exists():
        began, taken = time.monotonic(), robbed()
        for _ in range(2000):
            total += 1
            event = {"id": total}
            first(event)
            try:
                second(event)
            except ValueError:
                pass
        spent = time.monotonic() - began - (robbed() - taken)
        rounds.append((began, 2000 / spent))
    grown = memory().rss - before
    print(json.dumps({"rounds": rounds, "total": total, "grown": grown}))
"""


def environment(ports):
    """What makes a program export there, often and soon."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{ports.otlp_http}",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "OTEL_BLRP_SCHEDULE_DELAY": "500",
    }


def consumed(ports, stage):
    """What a stage consumed, as the collector exposes it to Prometheus."""
    lines = get(f"http://127.0.0.1:{ports.collector_metrics}/metrics").splitlines()
    return sum(
        float(line.split("}")[1].split()[0])
        for line in lines
        if line.startswith("stagelight_stage_consumed_events_total{")
        and f'stagelight_stage_name="{stage}"' in line
    )


def ratios(folder):
    """Run once through healthy and faulty phases in turn; each fault's rate by them.

    Waiting for locks, input or output counts, waiting for a processor does not.
    """
    ports = Ports.free()
    # Jaeger is absent all the time, which is the collector's matter.
    collector = make_collector(folder, ports)
    stop = folder / "stop"
    phases = []

    def phase(name):
        phases.append((name, time.monotonic()))
        time.sleep(PHASE)

    with collector, start_program(STEADY, str(stop), env=environment(ports)) as program:
        program.wait_for_line("ready")
        for _ in range(3):
            phase("healthy")
            collector.signal(signal.SIGSTOP)
            phase("hangs")
            collector.signal(signal.SIGCONT)
            phase("healthy")
            collector.kill()
            phase("absent")
            collector.start()
            collector.wait_ready()
        phases.append(("end", time.monotonic()))
        stop.touch()
        done = program.finish()
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout.splitlines()[-1])
        # Every event is counted in the end, for metrics are cumulative.
        for stage in ("first", "second"):
            eventually(lambda stage=stage: consumed(ports, stage) == seen["total"])
            assert consumed(ports, stage) == seen["total"]
    rates = {"healthy": [], "hangs": [], "absent": []}
    for (name, began), (_, ended) in pairwise(phases):
        inside = [
            rate for at, rate in seen["rounds"] if began + SETTLE < at < ended - 0.1
        ]
        rates[name] += inside
    medians = {name: statistics.median(found) for name, found in rates.items()}
    print({name: round(median) for name, median in medians.items()}, seen["grown"])
    return {
        "hangs": medians["hangs"] / medians["healthy"],
        "absent": medians["absent"] / medians["healthy"],
        "grown": seen["grown"],
    }


def test_throughput(tmp_path, otelcol):
    """The collector hanging or gone costs less than 5 % of the throughput."""
    # Other work on this machine is taken out as far as the kernel tells; it still
    # spoils caches and the measurement, so three may be tried.
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        seen = ratios(folder)
        if min(seen["hangs"], seen["absent"]) >= 0.95:
            break
    assert seen["hangs"] >= 0.95
    assert seen["absent"] >= 0.95
    assert seen["grown"] < 40 << 20


@pytest.mark.parametrize("journeys", ["50", "all"])
def test_absent_at_start(tmp_path, otelcol, journeys):
    """A program that starts before its collector counts all, in bounded memory."""
    ports = Ports.free()
    stop = tmp_path / "stop"
    env = {
        **environment(ports),
        "STAGELIGHT_JOURNEYS_PER_SECOND": journeys,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
    }
    with start_program(STEADY, str(stop), env=env) as program:
        program.wait_for_line("ready")
        time.sleep(4)
        with make_collector(tmp_path, ports):
            eventually(lambda: consumed(ports, "first") > 0)
            stop.touch()
            done = program.finish()
            assert done.returncode == 0, done.stderr
            seen = json.loads(done.stdout.splitlines()[-1])
            for stage in ("first", "second"):
                eventually(lambda stage=stage: consumed(ports, stage) == seen["total"])
                assert consumed(ports, stage) == seen["total"]
    assert seen["grown"] < 60 << 20
    # One line tells of the trouble, one of its end.
    assert done.stderr.count("cannot export") == 1
