"""stats() and OTLP say the same after a concurrent run, number by number."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from harness import OtlpReceiver, run_program
from harness.agreement import Agreement

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = 200_000

PROGRAM = """
    import json, queue, sys, threading
    from concurrent.futures import ThreadPoolExecutor
    import stagelight

    EVENTS, PRODUCERS, CONSUMERS = int(sys.argv[1]), 4, 4
    stagelight.configure(service_name="counts")
    pipeline = stagelight.Pipeline("counts")
    loaded = pipeline.queue(queue.Queue(500), "loaded")
    audit = pipeline.queue(queue.Queue(50), "audit")
    pool = pipeline.pool(ThreadPoolExecutor(3), "enrichers")

    class Parse:
        def process(self, event):
            if event % 97 == 0:
                raise ValueError(event)
            if event % 101 == 0:
                raise KeyError(event)
            if event % 89 == 0:
                stagelight.drop("filtered")
            if event % 83 == 0:
                stagelight.retry()
            return event

    parse = pipeline.stage(Parse())

    @pipeline.stage
    def feed(event):
        loaded.put(event)

    @pipeline.stage
    def note(event):
        audit.put_nowait(event)     # refused when it is full

    @pipeline.stage
    def enrich(event):
        if event % 7 == 0:
            raise TimeoutError(event)
        return event * 2

    def produce(first):
        for event in range(first, EVENTS, PRODUCERS):
            feed(event)

    def consume():
        while (event := loaded.get()) is not None:
            try:
                parse.process(event)
                if event % 20 == 0:
                    pool.submit(enrich, event)
                if event % 11 == 0:
                    note(event)
            except (ValueError, KeyError, queue.Full):
                pass
            if event % 50 == 0 and audit.qsize() > 25:
                audit.get()

    makers = [threading.Thread(target=produce, args=(n,)) for n in range(PRODUCERS)]
    takers = [threading.Thread(target=consume) for _ in range(CONSUMERS)]
    for thread in makers + takers:
        thread.start()
    for thread in makers:
        thread.join()
    for _ in takers:
        loaded.put(None)
    for thread in takers:
        thread.join()
    pool.shutdown()
    while not audit.empty():
        audit.get()
    assert stagelight.force_flush(30)
    print(json.dumps(pipeline.stats()))
"""


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """Where the program exports to."""
    with OtlpReceiver() as opened:
        yield opened


def failures(document: dict[str, Any]) -> int:
    """How many calls failed."""
    return sum(sum(one["errors"].values()) for one in document["stages"].values())


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_stats_and_otlp_agree(receiver, protocol):
    """Each count, sum and gauge is the same after 200,000 events through all kinds."""
    env = {
        **receiver.environment(protocol),
        # One collection at the flush: no other may be under way while we compare.
        "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
        # Every failure is told: room for all of them, and for spans on a slow machine.
        "OTEL_BLRP_MAX_QUEUE_SIZE": "100000",
        "OTEL_BSP_MAX_QUEUE_SIZE": "100000",
    }
    result = run_program(PROGRAM, str(EVENTS), env=env, timeout=300)
    assert (result.returncode, result.stderr) == (0, "")
    document = json.loads(result.stdout)

    stages = document["stages"]
    expected = range(EVENTS)
    bad = [n for n in expected if not n % 97 or not n % 101]
    assert stages["feed"]["outcomes"] == {"success": EVENTS}
    assert stages["Parse"]["errors"] == {
        "ValueError": sum(not n % 97 for n in expected),
        "KeyError": sum(not n % 101 for n in bad if n % 97),
    }
    assert stages["Parse"]["count"] == EVENTS
    dropped = sum(not n % 89 for n in expected) - sum(not n % 89 for n in bad)
    assert stages["Parse"]["dropped"] == {"filtered": dropped}
    good = [n for n in expected if n % 97 and n % 101]
    assert stages["enrich"]["count"] == sum(not n % 20 for n in good)
    assert stages["enrich"]["errors"] == {
        "TimeoutError": sum(not n % 140 for n in good)
    }
    assert stages["note"]["count"] == sum(not n % 11 for n in good)
    assert document["queues"]["loaded"]["dequeued"] == EVENTS + 4

    Agreement(document, receiver).check()

    logs = [log for log in receiver.logs() if log.event_name.endswith(".exception")]
    assert len(logs) == failures(document)
    lost = document["process"]["telemetry_dropped"]
    assert "logs" not in lost
    journeys = [span for span in receiver.spans() if span.name == "ingest counts"]
    assert 50 <= len(journeys) < EVENTS  # sampled at their head, or there is no end


def test_deltas_add_up_to_stats(receiver):
    """Deltas and exponential histograms, exported while all runs, miss nothing."""
    env = {
        **receiver.environment("http/protobuf"),
        "OTEL_METRIC_EXPORT_INTERVAL": "100",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
            "base2_exponential_bucket_histogram"
        ),
        "OTEL_BLRP_MAX_QUEUE_SIZE": "100000",
    }
    result = run_program(PROGRAM, "20000", env=env, timeout=300)
    assert (result.returncode, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert receiver.accepted["metrics", "http/protobuf"] > 3

    consumed: Counter[tuple[str, str]] = Counter()
    for point in receiver.points("stagelight.stage.consumed.events"):
        assert point.temporality == "delta"
        stage = point.attributes["stagelight.stage.name"]
        consumed[stage, point.attributes["stagelight.outcome"]] += int(point.value or 0)
    assert +consumed == {
        (name, outcome): number
        for name, stage in document["stages"].items()
        for outcome, number in stage["outcomes"].items()
    }
    counts: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    for point in receiver.points("stagelight.stage.process.duration"):
        name = point.attributes["stagelight.stage.name"]
        assert (point.kind, point.temporality) == ("exponential_histogram", "delta")
        assert point.count == (point.zero_count or 0) + sum(point.positive.counts)
        counts[name] += point.count or 0
        sums[name] += round((point.sum or 0.0) * 1e9)
    for name, stage in document["stages"].items():
        duration = stage["duration"]
        assert counts[name] == duration["count"]
        assert sums[name] == round(duration["mean"] * 1e9 * duration["count"])
