"""What the level detailed measures beside the rest."""

from __future__ import annotations

import asyncio

import pytest

import stagelight
from stagelight import _detailed, _frames, _names, _runs
from stagelight.testing import capture


@pytest.fixture
def cpu(monkeypatch):
    """Processor time that stands still until a test moves it: seconds to add."""
    now = [1_000_000_000]

    def advance(seconds):
        now[0] += round(seconds * 1e9)

    monkeypatch.setattr(_detailed, "thread_time_ns", lambda: now[0])
    return advance


def measured(pipeline):
    """Seconds of processor time and calls by stage."""
    return {
        name: (round(stage["cpu_seconds"], 6), stage["cpu_calls"])
        for name, stage in pipeline.stats()["stages"].items()
        if stage["cpu_seconds"] is not None
    }


def test_processor_time_is_each_stages_own(pipeline, cpu):
    """A nested stage's time is not that of the stage around it."""

    @pipeline.stage
    def inner(event):
        cpu(0.5)

    @pipeline.stage
    def outer(event):
        cpu(0.25)
        inner(event)
        cpu(0.125)

    outer(0)
    assert measured(pipeline) == {}
    stagelight.detail("detailed")
    outer(1)
    cpu(7)
    outer(2)
    assert measured(pipeline) == {"inner": (1.0, 2), "outer": (0.75, 2)}
    stagelight.detail("normal")
    outer(3)
    assert measured(pipeline) == {"inner": (1.0, 2), "outer": (0.75, 2)}


def test_a_level_that_changes_inside_of_a_call_charges_nobody_else(pipeline, cpu):
    """Open calls keep the level that they began with."""

    @pipeline.stage
    def inner(event):
        cpu(0.5)

    @pipeline.stage
    def outer(level):
        cpu(0.25)
        stagelight.detail(level)
        inner(1)
        cpu(0.125)

    outer("detailed")
    cpu(3)
    assert measured(pipeline) == {"inner": (0.5, 1)}
    outer("normal")
    assert measured(pipeline) == {"inner": (0.5, 1), "outer": (0.875, 1)}


def test_processor_time_of_coroutines_and_generators(pipeline, cpu):
    """Each step is charged to its call, whatever runs in between."""

    @pipeline.stage
    async def wait(event):
        cpu(0.5)
        await asyncio.sleep(0)
        cpu(0.25)

    @pipeline.stage
    def items(event):
        cpu(1)
        yield 1
        cpu(2)
        yield 2

    async def main():
        await asyncio.gather(wait(1), wait(2))

    stagelight.detail("detailed")
    asyncio.run(main())
    for _ in items(1):
        cpu(10)
    assert measured(pipeline) == {"wait": (1.5, 2), "items": (3.0, 2)}


def test_failed_calls_are_measured_too(pipeline, cpu):
    """A failure ends the charge as a result does."""

    @pipeline.stage
    def fail(event):
        cpu(0.5)
        raise ValueError

    stagelight.detail("detailed")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^$"):
            fail(1)
        cpu(4)
    assert measured(pipeline) == {"fail": (1.0, 2)}


def test_sizes_of_batches(pipeline):
    """Only what is a batch for sure is asked for its length."""

    class Odd(list):
        def __len__(self):
            raise AssertionError

    @pipeline.stage
    def batch(events):
        return events

    with capture() as found:
        stagelight.detail("detailed")
        for events in ([1, 2, 3], {1}, "text", (1, 2), {"id": 1}, Odd(), [0] * 4000):
            batch(events)
        [point] = found.points(_names.BATCHES.name)
    assert (point["count"], point["sum"]) == (3, 4004)
    assert pipeline.stats()["stages"]["batch"]["batch_size"]["max"] == 4000


def test_the_clock_is_only_read_at_detailed(pipeline, monkeypatch):
    """The other levels pay nothing for it."""

    def never(*_):
        raise AssertionError

    for module in (_frames, _runs):
        monkeypatch.setattr(module, "begin", never)

    @pipeline.stage
    def work(event):
        return event

    work(work(1))
    assert pipeline.stats()["stages"]["work"]["cpu_seconds"] is None
