"""Asynchronous generator stages, driven exactly as without the observer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import types
import weakref

import pytest


@types.coroutine
def suspend(value=None):
    """Suspend once; the driver sees the value and answers."""
    return (yield value)


def numbers(pipeline, name="gen"):
    """Count, produced, outcomes and in flight of one stage."""
    stage = pipeline.stats()["stages"][name]
    return stage["count"], stage["produced"], stage["outcomes"], stage["active"]


def run(main):
    """Run a coroutine; the loop's exception handler must not be called."""
    complaints = []

    async def wrapped():
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: complaints.append(context)
        )
        return await main()

    result = asyncio.run(wrapped())
    assert complaints == []
    return result


def talkative(log):
    """An async generator function that logs all that happens to it."""

    async def gen(event):
        log.append("started")
        try:
            while True:
                try:
                    got = yield event
                    await asyncio.sleep(0)
                    log.append(("got", got))
                except KeyError as error:
                    log.append(("caught", repr(error), error.__context__))
        finally:
            await asyncio.sleep(0)
            log.append(("finally", sys.exc_info()[0]))

    return gen


def test_asend_athrow_and_aclose(pipeline):
    """A whole conversation goes as with the bare generator."""

    async def talk(function, log):
        it = function(1)
        seen = [await it.__anext__(), await it.asend("sent")]
        seen.append(await it.athrow(KeyError("thrown")))
        with pytest.raises(ValueError, match="out"):
            await it.athrow(ValueError("out"))
        with pytest.raises(StopAsyncIteration):
            await it.__anext__()
        it = function(2)
        seen.append(await it.__anext__())
        seen.append(await it.aclose())
        seen.append(await it.aclose())
        return seen, log

    bare, observed = [], []
    expected = run(lambda: talk(talkative(bare), bare))
    assert run(lambda: talk(pipeline.stage(talkative(observed)), observed)) == expected
    assert numbers(pipeline) == (5, 4, {"success": 4, "failure": 1}, 0)


def test_an_exception_from_a_later_step_has_no_foreign_context(pipeline):
    """What was thrown in and handled is not the context of a later error."""

    async def gen(event):
        with contextlib.suppress(KeyError):
            yield 1
        raise ValueError("later")

    async def context_of(function):
        it = function(0)
        await it.__anext__()
        with pytest.raises(ValueError, match="later") as caught:
            await it.athrow(KeyError("thrown"))
        return caught.value.__context__

    assert run(lambda: context_of(gen)) is None
    assert run(lambda: context_of(pipeline.stage(gen))) is None


def test_is_lazy_and_stops_where_it_is_left(pipeline):
    """An early break and aclose() run the finally in the same loop."""
    ran = []

    @pipeline.stage
    async def gen(event):
        try:
            for number in range(9):
                ran.append(number)
                yield number
        finally:
            await asyncio.sleep(0)
            ran.append("left")

    async def main():
        it = gen(1)
        assert ran == []
        async for number in it:
            if number == 1:
                break
        await it.aclose()

    run(main)
    assert ran == [0, 1, "left"]
    assert numbers(pipeline) == (2, 2, {"success": 2}, 0)


def test_an_abandoned_one_is_finished_by_its_loop(pipeline):
    """Losing the last reference schedules the finally in the running loop."""
    left = []

    async def main(function):
        async for _ in function(1):
            break
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        return list(left)

    async def gen(event):
        try:
            yield event
        finally:
            await asyncio.sleep(0)
            left.append(event)

    assert run(lambda: main(gen)) == [1]
    left.clear()
    assert run(lambda: main(pipeline.stage(gen))) == [1]


def test_the_loop_closes_what_is_still_suspended_at_its_end(pipeline):
    """asyncio.run() closes the generator once, without a complaint."""
    left = []

    @pipeline.stage
    async def gen(event):
        try:
            yield event
        finally:
            await asyncio.sleep(0)
            left.append(event)

    kept = []

    async def main():
        it = gen(1)
        kept.append(it)
        await it.__anext__()

    run(main)
    assert left == [1]


def test_ignoring_the_close_is_the_same_error(pipeline):
    """Yielding instead of ending is Python's RuntimeError."""

    @pipeline.stage
    async def gen(event):
        try:
            yield event
        except GeneratorExit:
            yield "no"

    async def main():
        it = gen(1)
        await it.__anext__()
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            await it.aclose()

    run(main)


def test_cancellation_inside_a_step(pipeline):
    """Cancelling the consumer cancels the generator's await; it is not an error."""

    @pipeline.stage
    async def gen(event):
        yield event
        await asyncio.sleep(60)

    async def consume():
        async for _ in gen(1):
            pass

    async def main():
        task = asyncio.create_task(consume())
        for _ in range(3):
            await asyncio.sleep(0)
        assert numbers(pipeline) == (1, 1, {"success": 1}, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)
    assert numbers(pipeline) == (1, 1, {"success": 1}, 0)


def test_in_flight_while_an_item_is_made(pipeline):
    """Suspended between items it is not in flight; awaiting inside one it is."""
    seen = []

    @pipeline.stage
    async def gen(event):
        await suspend("inside")
        yield event

    async def collect():
        return [item async for item in gen(1)]

    coroutine = collect()
    assert coroutine.send(None) == "inside"
    seen.append(numbers(pipeline)[3])
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    seen.append(numbers(pipeline)[3])
    assert (stop.value.value, seen) == ([1], [1, 0])


def test_many_interleaved_generators(pipeline):
    """Concurrent consumers each get their own items, all counted."""

    @pipeline.stage
    async def inner(event):
        for number in range(3):
            await asyncio.sleep(0)
            yield (event, number)

    @pipeline.stage
    async def outer(event):
        async for item in inner(event):
            yield item

    async def consume(event):
        return [item async for item in outer(event)]

    async def main():
        return await asyncio.gather(*(consume(n) for n in range(20)))

    assert run(main) == [[(n, k) for k in range(3)] for n in range(20)]
    assert numbers(pipeline, "inner") == (60, 60, {"success": 60}, 0)
    assert numbers(pipeline, "outer") == (60, 60, {"success": 60}, 0)


def test_keeps_nothing_that_passed_through(pipeline):
    """While it is suspended, nothing of ours holds items, sent or thrown values."""

    class Thing(Exception):
        pass

    @pipeline.stage
    async def gen(event):
        while True:
            with contextlib.suppress(Thing):
                yield Thing()

    async def main():
        it = gen(1)
        refs = [weakref.ref(await it.__anext__())]
        sent = Thing()
        refs.append(weakref.ref(sent))
        refs.append(weakref.ref(await it.asend(sent)))
        thrown = Thing()
        refs.append(weakref.ref(thrown))
        refs.append(weakref.ref(await it.athrow(thrown)))
        del sent, thrown
        found = [ref() for ref in refs]
        await it.aclose()
        return found

    gc.disable()
    try:
        assert run(main) == [None] * 5
    finally:
        gc.enable()
