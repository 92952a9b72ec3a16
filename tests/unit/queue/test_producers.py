"""Who feeds a queue of tasks, where no journey tells it: nobody exports traces."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from stagelight._producers import SEEKING
from stagelight._workers import this_worker

NUMBER = 40


def _stages(pipeline, kind):
    """A source of some kind as an asynchronous function of the number."""
    if kind == "function":

        @pipeline.stage(name="poll")
        def poll(n):
            return {"n": n}

        async def source(n):
            return poll(n)

        return source
    if kind == "items":

        @pipeline.stage(name="poll")
        async def items(_start):
            for n in range(10 * NUMBER):
                await asyncio.sleep(0)
                yield {"n": n}

        found = items(0)

        async def following(_n):
            return await found.__anext__()

        return following

    @pipeline.stage(name="poll")
    async def poll_later(n):
        if kind == "waits":
            await asyncio.sleep(0)
        return {"n": n}

    return poll_later


async def _work(inbox, stage):
    while True:
        await stage(await inbox.get())
        inbox.task_done()


async def _drive(pipeline, source, *, spread=False, middle=None):
    """Hand 40 events on to a stage through a queue that has room for two."""
    inbox = pipeline.queue(asyncio.Queue(2), "inbox")

    @pipeline.stage(name="price")
    async def price(_event):
        await asyncio.sleep(0.0005)

    async def hand_on(n):
        event = await source(n)
        if middle is not None:
            event = await middle(event)
        await inbox.put(event)

    worker = asyncio.create_task(_work(inbox, price))
    for n in range(NUMBER):
        await (asyncio.create_task(hand_on(n)) if spread else hand_on(n))
    await inbox.join()
    worker.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await worker


@pytest.mark.parametrize("spread", [False, True], ids=["one task", "a task each"])
@pytest.mark.parametrize("kind", ["function", "at once", "waits", "items"])
def test_it_is_the_stage_that_the_task_ran_last(pipeline, kind, spread):
    """The wait for room is charged to it, as to a thread's."""
    asyncio.run(_drive(pipeline, _stages(pipeline, kind), spread=spread))
    stats = pipeline.stats()
    assert stats["stages"]["poll"]["outputs"] == ["inbox"]
    assert stats["stages"]["price"]["outputs"] == []
    blocked = stats["stages"]["poll"]["worker_seconds"]["blocked"]
    waited = stats["queues"]["inbox"]["put_blocked"]
    assert blocked == pytest.approx(waited, rel=0.2)


def test_not_a_stage_before_the_last(pipeline):
    """An event that two stages of a task worked on is the second one's."""

    @pipeline.stage
    async def check(event):
        return event

    source = _stages(pipeline, "waits")
    asyncio.run(_drive(pipeline, source, middle=check))
    stages = pipeline.stats()["stages"]
    assert (stages["poll"]["outputs"], stages["check"]["outputs"]) == ([], ["inbox"])


def test_events_that_no_stage_made(pipeline):
    """They have no producer, and the search for one ends."""

    async def drive():
        inbox = pipeline.queue(asyncio.Queue(), "inbox")

        @pipeline.stage
        async def price(event):
            return event

        worker = asyncio.create_task(_work(inbox, price))
        for n in range(300):
            await inbox.put(n)
            await asyncio.sleep(0)
        await inbox.join()
        worker.cancel()

    asyncio.run(drive())
    assert pipeline.stats()["stages"]["price"]["outputs"] == []
    assert this_worker().search is None
    assert not this_worker().alert & SEEKING


def test_a_search_ends_where_nobody_puts_any_more(pipeline):
    """So many calls later the short path is taken again."""

    @pipeline.stage
    async def alone(event):
        return event

    async def drive():
        await pipeline.queue(asyncio.Queue(), "inbox").put(0)
        assert this_worker().alert & SEEKING
        for n in range(10_000):
            await alone(n)

    asyncio.run(drive())
    assert this_worker().search is None
    assert not this_worker().alert & SEEKING
