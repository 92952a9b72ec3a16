"""Coroutine stages: awaited, cancelled and closed exactly as without the observer."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import inspect
import sys
import traceback
import types
import warnings
import weakref

import pytest

VARIABLE = contextvars.ContextVar("VARIABLE", default=None)


def numbers(pipeline, name="stage"):
    """Count, outcomes and in flight of one stage."""
    stage = pipeline.stats()["stages"][name]
    return stage["count"], stage["outcomes"], stage["active"]


@types.coroutine
def suspend(value=None):
    """Suspend once; the driver sees the value and answers."""
    return (yield value)


def test_is_driven_as_the_bare_coroutine(pipeline):
    """send, throw and the returned value go both ways."""

    async def stage(event):
        got = await suspend("first")
        try:
            await suspend(("got", got))
        except KeyError as error:
            got = await suspend(("caught", repr(error), error.__context__))
        return ("returned", event, got)

    def talk(function):
        coroutine = function(1)
        seen = [inspect.getcoroutinestate(coroutine), coroutine.send(None)]
        seen += [coroutine.send("a"), coroutine.throw(KeyError("k"))]
        with pytest.raises(StopIteration) as stop:
            coroutine.send("b")
        return [*seen, stop.value.value, inspect.getcoroutinestate(coroutine)]

    assert talk(pipeline.stage(stage)) == talk(stage)
    assert numbers(pipeline) == (1, {"success": 1}, 0)


def test_raises_the_very_exception(pipeline):
    """The same object, its context untouched, the user's frame last."""
    problem = ValueError("problem")

    @pipeline.stage
    async def stage(event):
        with contextlib.suppress(KeyError):
            await suspend()
        raise problem

    coroutine = stage(1)
    coroutine.send(None)
    with pytest.raises(ValueError, match="problem") as caught:
        coroutine.throw(KeyError("handled"))
    assert caught.value is problem
    assert problem.__context__ is None
    frames = [frame.name for frame in traceback.extract_tb(problem.__traceback__)]
    assert (frames[0], frames[-1]) == ("test_raises_the_very_exception", "stage")
    assert numbers(pipeline) == (1, {"failure": 1}, 0)


def test_stop_iteration_inside_is_refused_as_ever(pipeline):
    """A coroutine that raises StopIteration gets Python's RuntimeError."""

    @pipeline.stage
    async def stage(event):
        raise StopIteration(event)

    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        asyncio.run(stage(1))


def test_never_awaited_warns_once_with_the_users_name(pipeline):
    """Forgetting to await gives the one warning that the bare function gives."""

    async def stage(event):
        return event

    def forget(function):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function(1)
            gc.collect()
        return [(one.category, str(one.message)) for one in caught]

    expected = forget(stage)
    assert len(expected) == 1
    assert forget(pipeline.stage(stage)) == expected
    assert numbers(pipeline) == (0, {}, 0)


def test_cancellation_reaches_the_stage_and_counts(pipeline):
    """task.cancel() runs the stage's finally, and counts as cancelled."""
    left = []

    @pipeline.stage
    async def stage(event):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            left.append(error.args)
            raise

    async def main():
        task = asyncio.create_task(stage(1))
        await asyncio.sleep(0)
        assert numbers(pipeline) == (0, {}, 1)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(main()) is True
    assert left == [("enough",)]
    assert numbers(pipeline) == (1, {"cancelled": 1}, 0)


def test_a_stage_may_survive_its_cancellation(pipeline):
    """A stage that swallows its cancellation succeeds."""

    @pipeline.stage
    async def stage(event):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "survived"

    async def main():
        task = asyncio.create_task(stage(1))
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio.run(main()) == "survived"
    assert numbers(pipeline) == (1, {"success": 1}, 0)


def test_wait_for_times_out_as_ever(pipeline):
    """The stage is cancelled; a stage whose own wait times out is a timeout."""

    @pipeline.stage
    async def stage(event):
        await asyncio.sleep(60)

    @pipeline.stage
    async def waits(event):
        await asyncio.wait_for(stage(event), 0.001)

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(stage(1), 0.001)
        with pytest.raises(asyncio.TimeoutError):
            await waits(1)

    asyncio.run(main())
    assert numbers(pipeline) == (2, {"cancelled": 2}, 0)
    assert numbers(pipeline, "waits") == (1, {"timeout": 1}, 0)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is new in 3.11")
def test_task_groups_cancel_the_siblings(pipeline):
    """One failing stage in a group cancels the others, as without us."""

    @pipeline.stage
    async def stage(event):
        if event == "bad":
            raise ValueError(event)
        await asyncio.sleep(60)

    async def main():
        async with asyncio.TaskGroup() as group:
            for event in ("good", "good", "bad"):
                group.create_task(stage(event))

    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: F821
        asyncio.run(main())
    assert [str(error) for error in caught.value.exceptions] == ["bad"]
    assert numbers(pipeline) == (3, {"cancelled": 2, "failure": 1}, 0)


@pytest.mark.parametrize("how", ["close", "abandon", "garbage"])
def test_a_coroutine_that_never_finishes_is_not_in_flight_forever(how, pipeline):
    """close(), losing the last reference and a cycle run its finally and count."""
    left = []

    @pipeline.stage
    async def stage(event):
        try:
            await suspend()
        finally:
            left.append(sys.exc_info()[0])

    coroutine = stage(1)
    coroutine.send(None)
    assert numbers(pipeline) == (0, {}, 1)
    if how == "close":
        coroutine.close()
    elif how == "abandon":
        del coroutine
    else:
        cycle = [coroutine]
        cycle.append(cycle)
        del coroutine, cycle
        gc.collect()
    assert left == [GeneratorExit]
    assert numbers(pipeline) == (1, {"cancelled": 1}, 0)


def test_a_coroutine_that_ignores_its_close(pipeline):
    """Awaiting on instead of ending is the same RuntimeError."""

    @pipeline.stage
    async def stage(event):
        try:
            await suspend()
        except GeneratorExit:
            await suspend()

    coroutine = stage(1)
    coroutine.send(None)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        coroutine.close()
    coroutine.close()


def test_context_variables_set_inside_stay_visible(pipeline):
    """An awaited stage runs in its caller's context, not in a copy."""

    @pipeline.stage
    async def stage(event):
        VARIABLE.set(event)
        await asyncio.sleep(0)
        return VARIABLE.get()

    async def main():
        VARIABLE.set("before")
        result = await stage("inside")
        return result, VARIABLE.get()

    assert asyncio.run(main()) == ("inside", "inside")


def test_nested_and_interleaved_calls(pipeline):
    """Stages that await stages, many at once, are all counted and none mixed up."""

    @pipeline.stage
    async def inner(event):
        await asyncio.sleep(0)
        return event + 1

    @pipeline.stage
    async def outer(event):
        results = await asyncio.gather(*(inner(event + n) for n in range(3)))
        return sum(results) + await inner(0)

    async def main():
        return await asyncio.gather(*(outer(n) for n in range(5)))

    assert asyncio.run(main()) == [7, 10, 13, 16, 19]
    assert numbers(pipeline, "outer") == (5, {"success": 5}, 0)
    assert numbers(pipeline, "inner") == (20, {"success": 20}, 0)


def test_synchronous_stages_inside_a_coroutine_and_around_a_loop(pipeline):
    """Plain stages call loops, and coroutines call plain stages."""

    @pipeline.stage
    def plain(event):
        return event + 1

    @pipeline.stage
    async def later(event):
        first = plain(event)
        await asyncio.sleep(0)
        return plain(first)

    @pipeline.stage
    def around(event):
        return asyncio.run(later(event))

    assert around(1) == 3
    assert [numbers(pipeline, name) for name in ("plain", "later", "around")] == [
        (2, {"success": 2}, 0),
        (1, {"success": 1}, 0),
        (1, {"success": 1}, 0),
    ]


def test_generator_based_coroutines(pipeline):
    """What ``types.coroutine`` made can still be awaited and iterated."""

    @pipeline.stage
    @types.coroutine
    def stage(event):
        got = yield event
        return got

    async def main():
        return await stage("asked")

    coroutine = main()
    assert coroutine.send(None) == "asked"
    with pytest.raises(StopIteration) as stop:
        coroutine.send("answer")
    assert stop.value.value == "answer"
    assert numbers(pipeline) == (1, {"success": 1}, 0)


def test_steps_on_several_threads(pipeline):
    """A coroutine may be driven by one thread after another."""
    import threading

    @pipeline.stage
    async def stage(event):
        return [await suspend(), await suspend(), event]

    coroutine = stage(1)
    results = []

    def drive(value):
        try:
            coroutine.send(value)
        except StopIteration as stop:
            results.append(stop.value)

    for value in (None, "a", "b"):
        thread = threading.Thread(target=drive, args=(value,))
        thread.start()
        thread.join()
    assert results == [["a", "b", 1]]
    assert numbers(pipeline) == (1, {"success": 1}, 0)


def test_keeps_nothing_after_the_call(pipeline):
    """Event, result and exception are freed without the garbage collector."""

    class Thing(Exception):
        pass

    @pipeline.stage
    async def stage(event):
        with contextlib.suppress(Thing):
            await suspend()
        await suspend()
        return Thing() if event.args else None

    @pipeline.stage
    async def fails(event):
        await suspend()
        raise Thing(event)

    gc.collect()
    gc.disable()
    try:
        refs = []
        event, thrown = Thing(1), Thing()
        refs += [weakref.ref(event), weakref.ref(thrown)]
        coroutine = stage(event)
        coroutine.send(None)
        coroutine.throw(thrown)
        del thrown
        assert refs[1]() is None
        with pytest.raises(StopIteration) as stop:
            coroutine.send(None)
        refs.append(weakref.ref(stop.value.value))
        del stop, coroutine, event
        event = Thing(2)
        refs.append(weakref.ref(event))
        coroutine = fails(event)
        coroutine.send(None)
        try:
            coroutine.send(None)
        except Thing as error:
            refs.append(weakref.ref(error))
        del coroutine, event
        assert [ref() for ref in refs] == [None] * 5
    finally:
        gc.enable()


def test_what_is_thrown_in_ends_where_it_arrives(pipeline):
    """The traceback of a cancelled await ends in what was awaited, not in our frame."""

    @pipeline.stage
    async def stage(event):
        await asyncio.Event().wait()

    async def main():
        task = asyncio.create_task(stage(1))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError) as caught:
        asyncio.run(main())
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [frame.name for frame in frames[-2:]] == ["stage", "wait"]
