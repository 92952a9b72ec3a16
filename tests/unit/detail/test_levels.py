"""The levels of detail, and switching between them."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time

import pytest
from opentelemetry import trace

import stagelight
from stagelight import _detail, _own_names
from stagelight._tracer import TRACER
from stagelight._workers import this_worker


def test_the_level_is_told_and_chosen():
    """Without an argument it is only told."""
    assert stagelight.detail() == "normal"
    assert stagelight.detail("basic") == "basic"
    assert stagelight.detail() == "basic"


def test_an_unknown_level_is_an_error():
    """The error names the levels, and nothing changes."""
    with pytest.raises(
        stagelight.ConfigurationError, match="there are basic, normal, detailed"
    ):
        stagelight.detail("verbose")
    assert stagelight.detail() == "normal"


def test_configuration_does_not_undo_what_the_program_chose():
    """The setting is for programs that say nothing."""
    _detail.set_up("detailed", 0.5)
    assert (stagelight.detail(), _detail.DETAIL.budget) == ("detailed", 0.5)
    stagelight.detail("normal")
    _detail.set_up("basic", 0.0)
    assert (stagelight.detail(), _detail.DETAIL.budget) == ("normal", 0.0)


def test_basic_counts_and_makes_no_span(captured, pipeline):
    """Counts and durations go on; no span is current, none is exported."""
    seen = []

    @pipeline.stage
    def look(event):
        seen.append(trace.get_current_span().get_span_context().is_valid)
        return event

    jobs = pipeline.queue(queue.Queue(), "jobs")
    for level in ("normal", "basic", "normal"):
        stagelight.detail(level)
        TRACER.due = 1 << 62
        look(1)
        jobs.put(2)
        look(jobs.get())
    assert seen == [True, True, False, False, True, True]
    stats = pipeline.stats()
    assert stats["stages"]["look"]["outcomes"] == {"success": 6}
    assert stats["queues"]["jobs"]["dequeued"] == 3
    assert captured.spans() == []


def test_a_failure_has_a_trace_at_basic(captured, pipeline):
    """Its log record and its exported span have the same ids; nothing else has any."""

    @pipeline.stage
    def work(event):
        if event == 3:
            raise ValueError(event)

    @pipeline.stage
    def around(event):
        return work(event)

    stagelight.detail("basic")
    for number in range(5):
        with contextlib.suppress(ValueError):
            around(number)
    spans = {span["name"]: span for span in captured.spans()}
    assert sorted(spans) == ["ingest unit", "process work"]
    failed = spans["process work"]
    assert failed["parent_id"] == spans["ingest unit"]["span_id"]
    assert failed["attributes"]["error.type"] == "ValueError"
    assert failed["attributes"]["stagelight.rescued"] == "failure"
    [record] = [one for one in captured.logs() if "exception" in one["event_name"]]
    assert record["trace_id"] == failed["trace_id"]
    assert record["span_id"] == failed["span_id"]


def test_a_failure_continues_its_events_journey_at_basic(captured, pipeline):
    """The span of a fetched event that fails tells its queue."""
    jobs = pipeline.queue(queue.Queue(), "jobs")
    stagelight.detail("basic")

    @pipeline.stage
    def work(event):
        raise ValueError(event)

    jobs.put(1)
    with pytest.raises(ValueError, match="1"):
        work(jobs.get())
    [span] = [one for one in captured.spans() if one["name"] == "process work"]
    assert span["attributes"]["stagelight.queue.name"] == "jobs"


def test_a_failure_inside_a_users_span_nests_there_at_basic(captured, pipeline):
    """The user's trace is the one that has it."""
    tracer = captured.tracer_provider.get_tracer("user")

    @pipeline.stage
    def work(event):
        raise ValueError(event)

    stagelight.detail("basic")
    with tracer.start_as_current_span("mine") as mine:
        ids = mine.get_span_context()
        with pytest.raises(ValueError, match="1"):
            work(1)
    [span] = [one for one in captured.spans() if one["name"] == "process work"]
    assert span["trace_id"] == trace.format_trace_id(ids.trace_id)
    assert span["parent_id"] == trace.format_span_id(ids.span_id)


def test_coroutines_and_generators_fail_with_a_trace_at_basic(captured, pipeline):
    """So do the other kinds of stages."""

    @pipeline.stage
    async def wait(event):
        await asyncio.sleep(0)
        raise ValueError(event)

    @pipeline.stage
    def items(event):
        yield event
        raise KeyError(event)

    stagelight.detail("basic")
    with pytest.raises(ValueError, match="1"):
        asyncio.run(wait(1))
    with pytest.raises(KeyError):
        list(items(1))
    names = [one["name"] for one in captured.spans()]
    assert sorted(name for name in names if "process" in name) == [
        "process items",
        "process wait",
    ]


def test_each_change_is_one_log_event(captured):
    """The record tells both levels; no change is no record."""
    for level in ("basic", "basic", "normal"):
        stagelight.detail(level)
    told = [
        one for one in captured.logs() if one["event_name"] == _own_names.DETAIL_EVENT
    ]
    assert [one["body"] for one in told] == [
        "detail is basic: chosen",
        "detail is normal: chosen",
    ]
    assert told[0]["attributes"] == {
        _own_names.LEVEL: "basic",
        _own_names.LEVEL_BEFORE: "normal",
        _own_names.REASON: "chosen",
    }


def test_no_earlier_event_is_remembered_after_a_change(captured, pipeline):
    """What is put after a switch does not continue a journey from before it."""
    jobs = pipeline.queue(queue.Queue(), "jobs")

    @pipeline.stage
    def work(event):
        return event

    work(1)
    work(1)
    stagelight.detail("basic")
    assert this_worker().trail is None
    now = time.perf_counter_ns()
    jobs.put(1)
    [(_, journey)] = jobs.__stagelight__.entries
    assert journey.began >= now
