"""How busy a stage is, of all the time since its first call."""

from __future__ import annotations

import asyncio
import threading

from stagelight._insight import Window
from stagelight._registry import REGISTRY
from stagelight._sight import look


def sight(pipeline):
    """A look."""
    return look(REGISTRY.pipelines[pipeline.name])[0]


def run(target):
    """Run something in a thread of its own, to its end."""
    thread = threading.Thread(target=target)
    thread.start()
    thread.join()


def test_a_stage_that_ran_shortly_is_not_busy_for_ever(pipeline, clock):
    """A source that was done after one of ten seconds was busy for a tenth of them."""

    @pipeline.stage
    def read(event):
        clock.advance(1)
        return event

    run(lambda: read("one"))
    clock.advance(9)
    assert pipeline.stats()["stages"]["read"]["utilization"] == 0.1


def test_time_before_the_first_call_does_not_count(pipeline, clock):
    """A stage that came late is judged by its own time."""

    @pipeline.stage
    def late(event):
        clock.advance(3)
        return event

    clock.advance(100)
    run(lambda: late("one"))
    clock.advance(1)
    assert pipeline.stats()["stages"]["late"]["utilization"] == 0.75


def test_busy_workers_of_a_pool_are_no_more_than_wholly_busy(pipeline, clock):
    """Two workers that were busy all the time make a share of one, not of two."""

    @pipeline.stage
    def work(event):
        clock.advance(5)
        return event

    run(lambda: work("one"))
    run(lambda: work("two"))
    assert pipeline.stats()["stages"]["work"]["utilization"] == 1.0


def test_a_stage_that_never_ran_has_no_share(pipeline):
    """Nothing is known of it yet."""

    @pipeline.stage
    def idle(event):
        return event

    assert pipeline.stats()["stages"]["idle"]["utilization"] is None


def test_a_task_that_waits_inside_of_a_call_is_busy(pipeline, clock):
    """It can do nothing else meanwhile, though its loop can; the page says the same."""

    @pipeline.stage
    async def fetch(event):
        await asyncio.sleep(0)
        return event

    async def drive():
        task = asyncio.create_task(fetch("one"))
        await asyncio.sleep(0)
        clock.advance(3)
        await task

    began = sight(pipeline)
    asyncio.run(drive())
    clock.advance(1)
    assert pipeline.stats()["stages"]["fetch"]["worker_seconds"]["busy"] == 0
    assert pipeline.stats()["stages"]["fetch"]["utilization"] == 0.75
    later = Window(sight(pipeline), began, REGISTRY.started).stages["fetch"]
    assert (later.busy, later.idle, later.blocked) == (0.75, 0.0, 0.0)
