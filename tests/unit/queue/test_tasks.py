from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import weakref

import pytest

from stagelight import _names, _sinks


class Item:
    pass


class Doubled(asyncio.Queue):
    """Wraps its items."""

    def _put(self, item):
        super()._put((item,))

    def _get(self):
        return super()._get()[0]


def _stats(pipeline):
    return pipeline.stats()["queues"]["q"]


async def turns(number=5):
    """Let every task run on until it waits."""
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (asyncio.Queue, [3, 1, 2]),
        (asyncio.LifoQueue, [2, 1, 3]),
        (asyncio.PriorityQueue, [1, 2, 3]),
        (Doubled, [3, 1, 2]),
    ],
)
def test_order_and_counts(pipeline, made, expected):
    """Every kind of queue keeps its order, and counts what went through."""

    async def main():
        q = made(5)
        assert pipeline.queue(q, "q") is q
        assert q.__class__ is made
        for item in (3, 1, 2):
            await q.put(item)
        assert _stats(pipeline)["size"] == 3
        assert _stats(pipeline)["oldest_age"] > 0
        assert [await q.get() for _ in range(3)] == expected

    asyncio.run(main())
    seen = _stats(pipeline)
    assert (seen["enqueued"], seen["dequeued"], seen["size"]) == (3, 3, None)
    assert (seen["wait"]["count"], seen["high_watermark"]) == (3, 3)


def test_refusals(pipeline):
    """QueueFull and QueueEmpty raise as ever; refusals are counted."""

    async def main():
        q = pipeline.queue(asyncio.Queue(1), "q")
        with pytest.raises(asyncio.QueueEmpty):
            q.get_nowait()
        q.put_nowait(1)
        with pytest.raises(asyncio.QueueFull):
            q.put_nowait(2)
        return _stats(pipeline)

    seen = asyncio.run(main())
    assert (seen["enqueued"], seen["refused"]) == (1, {_names.QUEUE_FULL: 1})
    assert seen["capacity"] == 1


def test_cancelled_waits_leave_nothing(pipeline):
    """A cancelled put or get is no event, and its wait for room counts."""

    async def main():
        q = pipeline.queue(asyncio.Queue(1), "q")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(q.get(), 0.01)
        await q.put(1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(q.put(2), 0.01)
        given_up = _stats(pipeline)["put_blocked"]
        assert given_up > 0
        waiting = asyncio.create_task(q.put(3))
        await turns()
        assert q.__stagelight__.record.blocking
        first = _stats(pipeline)["put_blocked"]
        waiting.cancel()
        await asyncio.wait([waiting])
        assert not q.__stagelight__.record.blocking
        assert _stats(pipeline)["put_blocked"] >= first > given_up
        assert await asyncio.wait_for(q.get(), 10) == 1
        assert q.empty()
        return _stats(pipeline)

    seen = asyncio.run(main())
    assert (seen["enqueued"], seen["dequeued"], seen["refused"]) == (1, 1, {})


def test_task_done_and_join(pipeline):
    """Join waits for task_done, which may not be called too often."""

    async def main():
        q = pipeline.queue(asyncio.Queue(), "q")
        await q.put(1)
        joined = asyncio.create_task(q.join())
        await turns()
        assert not joined.done()
        await q.get()
        q.task_done()
        await asyncio.wait_for(joined, 5)
        with pytest.raises(ValueError, match="too many times"):
            q.task_done()

    asyncio.run(main())


def test_it_keeps_nothing(pipeline):
    """Neither items nor the queue live longer than without us; methods keep it."""

    async def main():
        q = pipeline.queue(asyncio.Queue(), "q")
        await q.put(Item())
        gone = weakref.ref(await q.get())
        assert gone() is None
        put, get = q.put_nowait, q.get
        ref = weakref.ref(q)
        del q
        put("x")
        assert await get() == "x"
        gc.disable()
        try:
            del put, get
            assert ref() is None
        finally:
            gc.enable()

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="shutdown is new in 3.13")
def test_shutdown_is_counted_as_closed(pipeline):
    """Puts into a queue that was shut down raise as ever, and are counted once."""

    async def main():
        q = pipeline.queue(asyncio.Queue(1), "q")
        await q.put(1)
        waiting = asyncio.create_task(q.put(2))
        await turns()
        q.shutdown(immediate=False)
        with pytest.raises(asyncio.QueueShutDown):
            await waiting
        q.shutdown(immediate=True)
        with pytest.raises(asyncio.QueueShutDown):
            await q.put(3)
        with pytest.raises(asyncio.QueueShutDown):
            q.put_nowait(3)
        return _stats(pipeline)

    seen = asyncio.run(main())
    assert seen["refused"] == {_names.QUEUE_CLOSED: 3}
    assert (seen["dequeued"], seen["size"]) == (0, 0)


def test_full_and_recovered_are_told_once(pipeline):
    """Each edge is told once, full already while the producer waits."""
    heard = []
    sink = lambda record: heard.append(record.name)  # noqa: E731
    _sinks.EVENTS.append(sink)

    async def main():
        q = pipeline.queue(asyncio.Queue(2), "q")
        await q.put(1)
        await q.put(1)
        waiting = [asyncio.create_task(q.put(2)) for _ in range(2)]
        await turns()
        assert heard == [_names.QUEUE_FULL_EVENT]
        for _ in range(4):
            await q.get()
        await asyncio.wait(waiting)
        empty = asyncio.create_task(q.get())
        await turns()
        assert heard == [_names.QUEUE_FULL_EVENT, _names.QUEUE_RECOVERED_EVENT]
        empty.cancel()

    try:
        asyncio.run(main())
    finally:
        _sinks.EVENTS.remove(sink)


def test_counts_under_cancellation(pipeline):
    """Consumers that are cancelled while they wait lose no event and no count."""

    async def main():
        q = pipeline.queue(asyncio.Queue(3), "q")
        got = []

        async def consume():
            while True:
                with contextlib.suppress(asyncio.TimeoutError):
                    got.append(await asyncio.wait_for(q.get(), 0.001))

        async def produce(first):
            for number in range(50):
                await q.put(first + number)
                if number % 10 == 0:
                    await asyncio.sleep(0.002)

        consumers = [asyncio.create_task(consume()) for _ in range(20)]
        await asyncio.gather(*(produce(100 * n) for n in range(20)))
        while not q.empty():  # noqa: ASYNC110 - the queue tells nobody
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.005)
        for task in consumers:
            task.cancel()
        await asyncio.wait(consumers)
        return got, _stats(pipeline)

    got, seen = asyncio.run(main())
    assert (seen["enqueued"], seen["dequeued"], seen["size"]) == (1000, 1000, 0)
    assert len(got) <= 1000
