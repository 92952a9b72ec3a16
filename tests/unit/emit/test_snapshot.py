from __future__ import annotations

import json
import os
import queue
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stagelight
from stagelight import _guard, _model, _names, _snapshot
from stagelight._cells import NANOSECONDS
from stagelight._history import merged, with_second
from stagelight._totals import Totals


@pytest.fixture
def work(pipeline, clock):
    """A stage that takes as long as its event says, and fails where it is told to."""

    @pipeline.stage
    def work(event):
        seconds, fails = event
        clock.advance(seconds)
        if fails:
            raise ValueError(event)
        return event

    def call(seconds, *, fails=False):
        try:
            work((seconds, fails))
        except ValueError:
            assert fails

    return call


def stage(pipeline, name="work"):
    """What stats() says of a stage."""
    return pipeline.stats()["stages"][name]


def test_an_empty_pipeline(pipeline):
    """Nothing is there, and everything can be told."""
    document = pipeline.stats()
    assert (document["stages"], document["queues"], document["pools"]) == ({}, {}, {})
    assert document["bottleneck"] is None
    assert document["journeys"] == asdict(
        _model.Quantiles(0, None, None, None, None, None)
    )
    assert document["version"] == _snapshot.DOCUMENT


def test_the_process(pipeline):
    """Who it is, how long it runs, how much memory it takes, what went wrong in us."""
    process = pipeline.stats()["process"]
    assert process["pid"] == os.getpid()
    assert process["uptime"] > 0
    assert 1_000_000 < process["memory_rss"] < 1_000_000_000_000
    assert process["telemetry_errors"] == {}


def test_a_stage(pipeline, work, clock):
    """Counts, outcomes, errors, rates, quantiles and worker time of one stage."""
    for _ in range(3):
        work(0.1)
    work(0.3, fails=True)
    clock.advance(0.4)
    found = stage(pipeline)
    duration = found.pop("duration")
    assert duration.pop("p50") == pytest.approx(0.1, rel=0.1)
    assert duration.pop("p95") == pytest.approx(0.3, rel=0.2)
    assert duration.pop("p99") == pytest.approx(0.3, rel=0.2)
    assert duration == {"count": 4, "mean": pytest.approx(0.15), "max": 0.3}
    assert found.pop("rates") == {"s1": 4.0, "s10": 0.4, "s60": 4 / 60}
    assert found == {
        "name": "work",
        "count": 4,
        "outcomes": {"success": 3, "failure": 1},
        "errors": {"ValueError": 1},
        "error_rate": 0.25,
        "produced": 3,
        "dropped": {},
        "retries": 0,
        "active": 0,
        "oldest_active": 0.0,
        "workers": {"busy": 0, "idle": 1, "blocked": 0},
        "worker_seconds": {"busy": 0.6, "idle": 0.0, "blocked": 0.0},
        "inputs": [],
        "outputs": [],
        "inner": [],
        "utilization": 0.6,  # of the whole time since it was called first
    }


def test_rates_fall_as_time_goes_by(pipeline, work, clock):
    """Calls leave the windows of 1, 10 and 60 s one after the other."""
    assert clock.now % NANOSECONDS == 0
    for _ in range(10):
        work(0)
    seen = []
    for seconds in (0, 1, 9, 50, 5):
        clock.advance(seconds)
        seen.append(tuple(stage(pipeline)["rates"].values()))
    assert seen == [
        (10.0, 1.0, 10 / 60),
        (10.0, 1.0, 10 / 60),  # the whole of the second before is in the window
        (0.0, 1.0, 10 / 60),
        (0.0, 0.0, 10 / 60),
        (0.0, 0.0, 0.0),
    ]


def test_of_the_oldest_second_the_share_in_the_window_counts(pipeline, work, clock):
    """A steady rate reads as itself, wherever in a second one looks."""
    for _ in range(80 * 4):
        work(0)
        clock.advance(0.25)
    for _ in range(5):
        rates = stage(pipeline)["rates"]
        assert rates["s10"] == pytest.approx(4.0, abs=0.11)
        assert rates["s60"] == pytest.approx(4.0, abs=0.02)
        work(0)
        clock.advance(0.25)


@given(
    st.dictionaries(st.integers(0, 100), st.integers(0, 1000)),
    st.integers(0, 120 * NANOSECONDS),
)
def test_rates_lie_between_their_windows(history, now):
    """A rate over w seconds has all of the last w - 1, and nothing older than w + 1."""
    totals = Totals()
    for at, count in history.items():
        second = with_second((at, 0, 0), count, 0)
        totals._past = merged(totals._past, second)
    history = {at: count for at, (count, _) in totals.history.items()}
    rates = _snapshot.rates(totals, now)
    second = now // NANOSECONDS
    for window, rate in ((1, rates.s1), (10, rates.s10), (60, rates.s60)):
        ages = [(second - when, count) for when, count in history.items()]
        least = sum(count for age, count in ages if 0 <= age < window)
        most = sum(count for age, count in ages if 0 <= age <= window)
        assert least - 1e-9 <= rate * window <= most + 1e-9


def test_open_calls_are_seen(pipeline, clock):
    """What runs now is in flight, with its age; a hung worker never reads as idle."""
    seen = []

    @pipeline.stage
    def work(event):
        clock.advance(7.5)
        seen.append(stage(pipeline))

    work(1)
    (inside,) = seen
    assert (inside["active"], inside["oldest_active"]) == (1, 7.5)
    assert inside["workers"] == {"busy": 1, "idle": 0, "blocked": 0}
    assert inside["worker_seconds"]["busy"] == 7.5
    assert (inside["count"], inside["rates"]["s10"]) == (0, 0.0)
    after = stage(pipeline)
    assert (after["active"], after["oldest_active"], after["count"]) == (0, 0.0, 1)


def test_a_queue(pipeline, clock):
    """Size, capacity, age of the oldest, wait, and what it refused."""
    jobs = pipeline.queue(queue.Queue(2), "jobs")
    jobs.put("a")
    clock.advance(1.0)
    jobs.put("b")
    clock.advance(0.5)
    with pytest.raises(queue.Full):
        jobs.put_nowait("c")
    found = pipeline.stats()["queues"]["jobs"]
    assert (found["size"], found["capacity"], found["high_watermark"]) == (2, 2, 2)
    assert (found["enqueued"], found["dequeued"]) == (2, 0)
    assert found["refused"] == {_names.QUEUE_FULL: 1}
    assert (found["oldest_age"], found["wait"]["count"]) == (1.5, 0)
    jobs.get()
    found = pipeline.stats()["queues"]["jobs"]
    assert (found["oldest_age"], found["dequeued"]) == (0.5, 1)
    assert (found["wait"]["count"], found["wait"]["max"]) == (1, 1.5)


def test_the_document_is_plain_json(pipeline):
    """It survives a round trip through JSON unchanged, whatever happened."""
    jobs = pipeline.queue(queue.Queue(), "jobs")

    @pipeline.stage
    def work(event):
        if event == 1:
            stagelight.drop("odd")
        if event == 2:
            raise KeyError(event)
        jobs.put(event)
        return event

    with ThreadPoolExecutor(2) as executor:
        pipeline.pool(executor, "pool")
        for number in range(3):
            executor.submit(work, number).exception()
    document = pipeline.stats()
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text) == document
    assert document["stages"]["work"]["dropped"] == {"odd": 1}


def test_the_document_is_a_copy(pipeline, work):
    """Who changes it changes nothing else."""
    work(0.1)
    first = pipeline.stats()
    first["stages"]["work"]["outcomes"]["success"] = 99
    first["stages"]["work"]["workers"].clear()
    assert stage(pipeline)["outcomes"] == {"success": 1}


def test_a_snapshot_has_every_pipeline(pipeline, work):
    """The frozen form of all pipelines holds what each one's stats() says."""
    stagelight.Pipeline("other").stage(lambda event: event, name="rest")
    work(0.1)
    state = _snapshot.snapshot()
    assert set(state.pipelines) == {"unit", "other"}
    assert asdict(state.pipelines["unit"].stages["work"]) == stage(pipeline)


def test_our_own_troubles_are_told(pipeline, monkeypatch):
    """Internal errors and lost telemetry are in the document."""
    monkeypatch.setitem(_guard.ERRORS, "collect", 2)
    monkeypatch.setitem(_guard.LOST, "traces", 5)
    process = pipeline.stats()["process"]
    assert process["telemetry_errors"] == {"collect": 2}
    assert process["telemetry_dropped"]["traces"] == 5


def test_without_psutil_memory_is_unknown(pipeline, monkeypatch):
    """A broken psutil costs one number, not the document."""
    monkeypatch.setitem(__import__("sys").modules, "psutil", None)
    monkeypatch.setattr(_snapshot, "_SELF", {})
    assert pipeline.stats()["process"]["memory_rss"] is None


@pytest.mark.parametrize(
    "kind", [_model.StageStats, _model.QueueStats, _model.PoolStats, _model.Snapshot]
)
def test_the_model_is_documented(kind):
    """Every field of the document has its meaning in the docstring."""
    assert set(get_type_hints(kind)) == {field.name for field in fields(kind)}
    for field in fields(kind):
        assert f"        {field.name}: " in (kind.__doc__ or ""), field.name
