"""Calls whose work goes on in what they return: a generator that somebody else drives.

One sample for the whole: the call itself, and each step of what it returned, without
the time between the steps. The span is current inside the steps only.
"""

from __future__ import annotations

import sys
import types
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from stagelight import _guard
from stagelight._aside import step_aside
from stagelight._compiled import native_steps
from stagelight._runs import Run, begin_run
from stagelight._slots import DETAILED

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Generator,
        Iterable,
    )

    from stagelight.instrumentation.frameworks._delivery import Delivery
    from stagelight.instrumentation.frameworks._steps import Step


class Lazy:
    """One call that is over when what it returned is exhausted, closed or lost.

    Args:
        step: The stage.
        event: The event.
        delivery: Where it comes from, where it does not nest.
        ended: Told of the error, or None, in the end.
    """

    __slots__ = ("_began", "_done", "_ended", "_opened", "_run", "_steps", "_took")

    def __init__(
        self,
        step: Step,
        event: object = None,
        delivery: Delivery | None = None,
        ended: Callable[[BaseException | None], object] | None = None,
    ) -> None:
        turn = None if delivery is None else delivery.arrival(event)
        self._run: Run | None = begin_run(step.record, event, turn=turn)
        self._ended = ended
        self._done = False
        self._took = 0
        self._began = 0
        self._opened: dict[object, int] = {}
        self._steps: Any = None
        if self._run is not None:
            self._opened = self._run.slot.open
            self._opened[self] = self._run.start
            self._steps = native_steps(self._run, Lazy.step)

    def resume(self) -> None:
        """Begin a step."""
        run = self._run
        if run is not None:
            self._began = clock()
            run.enter_context()
            run.resume()

    def suspend(self) -> None:
        """End a step."""
        run = self._run
        if run is not None:
            run.suspend()
            run.leave_context()
            self._took += clock() - self._began

    def step(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Call a function as one step: the same as ``resume``, it, and ``suspend``.

        There is one for each item, mostly done in C. What is kept of the worker
        meanwhile stays in local variables, which costs a third.

        Args:
            function: What goes on with the work.
            argument: Its only argument.
        """
        run = self._run
        slot = worker = None
        try:
            if run is not None and run.traced is None:
                slot = run.stage.slot()
                worker = slot.worker
        except Exception as error:  # noqa: BLE001 - never into the framework
            _guard.caught("framework", error)
            return function(argument)
        if run is None or slot is None or worker is None or worker.alert & DETAILED:
            self.resume()
            try:
                return function(argument)
            finally:
                self.suspend()
        run.slot, run.worker = slot, worker
        outer, outer_run, frame = worker.slot, worker.run, worker.frame
        away, pause, dropped = worker.away, worker.pause, worker.dropped
        nested, since = outer.since != 0, slot.since
        worker.away = worker.pause = 0
        worker.special = False
        worker.dropped = worker.frame = None
        worker.run, worker.slot = run, slot
        slot.since = start = clock()
        try:
            return function(argument)
        finally:
            took = clock() - start
            self._took += took
            slot.since = since  # no longer open before it is counted
            slot.apart -= took - worker.away
            if worker.dropped is not None:
                run.dropped = worker.dropped  # type: ignore[unreachable] # the function may
            run.blocked += worker.pause
            worker.special, worker.dropped = nested, dropped
            worker.frame, worker.run = frame, outer_run
            if nested:
                worker.slot = outer
                worker.away = away + took
                worker.pause += pause
            else:
                worker.away = worker.pause = 0

    def finish(self, error: BaseException | None) -> None:
        """Record the whole; once.

        Args:
            error: What ended it, None where it ended by itself.
        """
        if self._done:
            return
        self._done = True
        self._opened.pop(self, None)
        run = self._run
        try:
            if self._steps is not None:
                self._took += self._steps.took
            if run is not None and error is None:
                run.sample(self._took, traced=run.traced)
            elif run is not None and error is not None:
                run.failed(error, self._took, run.traced)
            if self._ended is not None:
                self._ended(error)
        except Exception as problem:  # noqa: BLE001 - never into the framework
            _guard.caught("framework", problem)

    @types.coroutine
    def wait_for(self, awaitable: Any) -> Generator[Any, Any, Any]:
        """Await the call itself, step by step; its waiting counts as well.

        Args:
            awaitable: A coroutine.
        """
        step = self._steps or Lazy.step
        value: Any = None
        thrown: BaseException | None = None
        while True:
            try:
                if thrown is None:
                    waited = step(self, awaitable.send, value)
                else:
                    waited = step(self, awaitable.throw, thrown)
            except StopIteration as stop:
                return stop.value
            finally:
                value = thrown = None
            began = clock()
            try:
                value = yield waited
            except BaseException as problem:  # noqa: BLE001 - handed into it
                step_aside(problem)
                thrown = problem
            finally:
                waited = None
                self._took += clock() - began

    def over(self, items: Iterable[Any]) -> Generator[Any, None, None]:
        """The same items; ends the call with the last one.

        Args:
            items: What the call returned.
        """
        step = self._steps or Lazy.step
        source = iter(items)
        try:
            while True:
                try:
                    item = step(self, next, source)
                except StopIteration:
                    break
                except BaseException as error:
                    self.finish(error)
                    step_aside(error)
                    raise
                yield item
                item = None
            self.finish(None)
        finally:
            if not self._done:
                self.finish(GeneratorExit())
                close = getattr(source, "close", None)
                if close is not None:
                    close()

    async def over_async(self, items: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """The same items, asynchronously; ends the call with the last one.

        Args:
            items: What the call returned.
        """
        source = items.__aiter__()
        try:
            while True:
                try:
                    item = await self.wait_for(_coroutine(source.__anext__()))
                except StopAsyncIteration:
                    break
                except BaseException as error:
                    self.finish(error)
                    raise
                yield item
                item = None
            self.finish(None)
        finally:
            if not self._done:
                self.finish(GeneratorExit())
                close = getattr(source, "aclose", None)
                if close is not None and not sys.is_finalizing():
                    await close()


async def _coroutine(awaitable: Any) -> Any:
    return await awaitable
