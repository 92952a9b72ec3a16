"""Contestants beside the plain call: coroutines, generators, queues, fetched events.

A queue is filled by one thread (or task) and then drained by another, so that neither
ever waits for the other.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import TYPE_CHECKING, Any

from gauge.cases import Case, Side, cpu
from gauge.stages import pipeline, stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from gauge.cases import Function


async def later(event: object) -> object:
    """Do nothing, as a coroutine."""
    return event


def items(number: int) -> Iterator[int]:
    """Yield so many numbers."""
    yield from range(number)


async def later_items(number: int) -> AsyncIterator[int]:
    """Yield so many numbers, asynchronously."""
    for one in range(number):
        yield one


def in_loop(make: Callable[[int], Any], before: Callable[[int], Any] | None) -> Side:
    """Run a coroutine of many events on one event loop, each time as a new task.

    Args:
        make: Makes the coroutine that counts.
        before: Makes one to be run first, whose time does not count.
    """
    loop = asyncio.new_event_loop()

    def side(number: int) -> float:
        if before is not None:
            loop.run_until_complete(before(number))
        start = cpu()
        loop.run_until_complete(make(number))
        return cpu() - start

    return side


def coroutine(mode: str) -> Case:
    """A coroutine stage that is awaited and never suspends."""
    ours, _ = pipeline(mode)

    def side(function: Any) -> Side:
        async def run(number: int) -> None:
            for event in range(number):
                await function(event)

        return in_loop(run, None)

    return Case(side(ours.stage(later)), side(later))


def generator(mode: str) -> Case:
    """One item of a generator stage."""
    ours, _ = pipeline(mode)

    def side(function: Any) -> Side:
        def run(number: int) -> float:
            start = cpu()
            for _ in function(number):
                pass
            return cpu() - start

        return run

    return Case(side(ours.stage(items)), side(items))


def async_generator(mode: str) -> Case:
    """One item of an asynchronous generator stage."""
    ours, _ = pipeline(mode)

    def side(function: Any) -> Side:
        async def run(number: int) -> None:
            async for _ in function(number):
                pass

        return in_loop(run, None)

    return Case(side(ours.stage(later_items)), side(later_items))


def _in_thread(function: Callable[..., None], *arguments: object) -> None:
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


def _fill(target: queue.Queue[object], first: Function | None, number: int) -> None:
    if first is None:
        for event in range(number):
            target.put(event)
    else:
        for event in range(number):
            target.put(first(event))


def _drain(target: queue.Queue[object], last: Function | None, number: int) -> None:
    if last is None:
        for _ in range(number):
            target.get()
    else:
        for _ in range(number):
            last(target.get())


def _hop(
    waiting: queue.Queue[object], first: Function | None, last: Function | None
) -> Side:
    def side(number: int) -> float:
        start = cpu()
        _in_thread(_fill, waiting, first, number)
        _in_thread(_drain, waiting, last, number)
        return cpu() - start

    return side


def put_get(mode: str, bound: int = 0) -> Case:
    """``put`` and ``get`` of a ``queue.Queue`` between threads, no stage.

    Args:
        mode: How it is observed.
        bound: The queue's bound, which is never reached.
    """
    ours, _ = pipeline(mode)
    observed: queue.Queue[object] = ours.queue(queue.Queue(bound), "waiting")
    return Case(_hop(observed, None, None), _hop(queue.Queue(bound), None, None))


def bounded(mode: str) -> Case:
    """The same with a queue that could be full."""
    return put_get(mode, 1_000_000)


def two_stages(mode: str) -> Case:
    """A whole pipeline: stage, ``put``, ``get``, stage."""
    ours, settle = pipeline(mode)
    observed: queue.Queue[object] = ours.queue(queue.Queue(), "waiting")
    first, last = ours.stage(stage, name="first"), ours.stage(stage, name="last")
    hop = _hop(observed, first, last)

    def side(number: int) -> float:
        seconds = hop(number)
        start = cpu()
        settle()
        return seconds + cpu() - start

    return Case(side, _hop(queue.Queue(), stage, stage))


def fetched(mode: str) -> Case:
    """The stage call alone, on an event that was fetched from an observed queue."""
    ours, _ = pipeline(mode)
    waiting: queue.Queue[object] = ours.queue(queue.Queue(), "waiting")
    observed = ours.stage(stage, name="stage")

    def side(function: Function) -> Side:
        def run(number: int) -> float:
            _in_thread(_fill, waiting, None, number)
            start = cpu()
            _in_thread(_drain, waiting, function, number)
            return cpu() - start

        return run

    return Case(side(observed), side(stage))


def task_put_get(mode: str) -> Case:
    """``put`` and ``get`` of an ``asyncio.Queue`` between tasks, no stage."""
    ours, _ = pipeline(mode)

    def side(waiting: asyncio.Queue[object]) -> Side:
        async def fill(number: int) -> None:
            for event in range(number):
                await waiting.put(event)

        async def drain(number: int) -> None:
            for _ in range(number):
                await waiting.get()

        puts, gets = in_loop(fill, None), in_loop(drain, None)
        return lambda number: puts(number) + gets(number)

    return Case(side(ours.queue(asyncio.Queue(), "waiting")), side(asyncio.Queue()))


def task_fetched(mode: str) -> Case:
    """A task that fetches and awaits a coroutine stage: ``get`` and stage."""
    ours, _ = pipeline(mode)

    def side(waiting: asyncio.Queue[object], function: Any) -> Side:
        async def fill(number: int) -> None:
            for event in range(number):
                await waiting.put(event)

        async def drain(number: int) -> None:
            for _ in range(number):
                await function(await waiting.get())

        return in_loop(drain, fill)

    return Case(
        side(ours.queue(asyncio.Queue(), "waiting"), ours.stage(later)),
        side(asyncio.Queue(), later),
    )
