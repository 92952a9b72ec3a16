from __future__ import annotations

import contextvars
import queue
import threading

import pytest
from opentelemetry import trace

import stagelight
from harness.readers import Pushed, by_name, points
from stagelight import _guard, _names, _sinks, testing
from stagelight._tracer import TRACER


@pytest.fixture
def parse(pipeline):
    """A stage that fails for what is no number."""

    @pipeline.stage
    def parse(event):
        return int(event)

    return parse


def test_all_three_signals(pipeline, parse):
    """Spans, metrics and logs of what ran inside, as plain data."""
    with testing.capture() as telemetry:
        parse("1")
        with pytest.raises(ValueError, match="invalid literal"):
            parse("one")
        good, bad = telemetry.spans("process parse")
        (log,) = telemetry.logs()
        (one, other) = telemetry.points(_names.CONSUMED.name)
    assert [span["name"] for span in telemetry.spans()] == [
        *("ingest unit", "process parse", "ingest unit", "process parse")
    ]
    assert (good["status"], good["kind"], good["events"]) == ("UNSET", "INTERNAL", [])
    assert bad["status"] == "ERROR"
    assert bad["description"].startswith("invalid literal")
    assert (log["trace_id"], log["span_id"]) == (bad["trace_id"], bad["span_id"])
    roots = {span["span_id"] for span in telemetry.spans("ingest unit")}
    assert {good["parent_id"], bad["parent_id"]} == roots
    assert (one["value"], other["value"]) == (1, 1)
    key = {_names.PIPELINE: "unit", _names.STAGE: "parse"}
    assert one["attributes"] == {**key, _names.OUTCOME: "success"}


def test_histograms(parse):
    """A histogram's point has count, sum in seconds, buckets and bounds."""
    with testing.capture() as telemetry:
        for number in range(5):
            parse(number)
        (point,) = telemetry.points(_names.PROCESS_DURATION.name)
    assert set(point) == {"attributes", "count", "sum", "buckets", "bounds"}
    assert (point["count"], sum(point["buckets"])) == (5, 5)
    assert 0 < point["sum"] < 5
    assert tuple(point["bounds"]) == _names.DURATION_BUCKETS
    assert telemetry.points("no.such.metric") == []


def test_every_journey_is_sampled(parse):
    """No budget applies, so that a test sees every span."""
    TRACER.configure(None, 0)
    with testing.capture() as telemetry:
        for number in range(120):
            parse(number)
        assert len(telemetry.spans("process parse")) == 120
    assert TRACER.budget is None
    assert not TRACER.enabled


def test_counts_start_from_zero(pipeline, parse):
    """What ran before is not in it; what is open stays open."""
    jobs = pipeline.queue(queue.Queue(), "jobs")
    jobs.put(1)
    parse(1)
    for _ in range(2):
        with testing.capture() as telemetry:
            parse(2)
            (point,) = telemetry.points(_names.CONSUMED.name)
            (size,) = telemetry.points(_names.QUEUE_SIZE.name)
            assert (point["value"], size["value"]) == (1, 1)


def test_notices_start_from_zero(pipeline):
    """A drop is told in each capture, however soon after the last one."""

    @pipeline.stage
    def sieve(event):
        stagelight.drop("odd")

    for _ in range(2):
        with testing.capture() as telemetry:
            sieve(1)
            sieve(2)
            assert len(telemetry.logs(_names.DROPPED_EVENT)) == 1


def test_nothing_is_captured_afterwards(parse):
    """After the block, the providers are as they were."""
    provider = TRACER.provider
    with testing.capture() as telemetry:
        parse(1)
    parse(2)
    assert len(telemetry.spans("process parse")) == 1
    assert TRACER.provider is provider
    assert not isinstance(trace.get_tracer_provider(), type(telemetry.tracer_provider))


def test_it_ends_with_an_exception_too(parse):
    """A failing test leaves nothing behind."""
    _guard.STRICT.on = False

    def fail():
        with testing.capture():
            assert _guard.STRICT.on
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    assert not _guard.STRICT.on


@pytest.mark.usefixtures("lenient")
def test_our_own_errors_are_raised(parse):
    """Inside, an error of stagelight itself fails the test instead of being counted."""

    def broken(_):
        raise RuntimeError("a broken sink")

    _sinks.EVENTS.append(broken)
    try:
        with testing.capture(), pytest.raises(RuntimeError, match="a broken sink"):
            contextvars.copy_context().run(parse, "one")  # its span stays current
    finally:
        _sinks.EVENTS.remove(broken)


def test_threads_are_captured(pipeline, parse):
    """Calls of other threads are in it, those that ended as well."""
    with testing.capture() as telemetry:
        threads = [threading.Thread(target=parse, args=(n,)) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (point,) = telemetry.points(_names.CONSUMED.name)
    assert point["value"] == 5
    assert len(telemetry.spans("process parse")) == 5


def test_further_readers(parse):
    """A reader of the test's own sees the same."""
    own = Pushed()
    with testing.capture(own):
        parse(1)
        own.collect()
    (point,) = points(by_name(own.received[0]), _names.PROCESS_DURATION.name)
    assert point.count == 1


def test_links_of_a_batch(pipeline):
    """A call that takes several fetched events links to the others."""
    jobs = pipeline.queue(queue.Queue(), "jobs")
    load = pipeline.stage(len, name="load")
    feed = pipeline.stage(jobs.put, name="feed")
    with testing.capture() as telemetry:
        for number in range(3):
            feed([number])
        load([jobs.get() for _ in range(3)])
        (span,) = telemetry.spans("process load")
        traces = {one["trace_id"] for one in telemetry.spans("process feed")}
    linked = {trace_id for trace_id, _ in span["links"]}
    assert linked <= traces
    assert len(linked | {span["trace_id"]}) == 3
    assert span["attributes"][_names.BATCH_SIZE] == 3
