"""Generator calls: one sample for each item, one outcome when the generator ends.

The compiled wrappers drive the user's generator; what they record is here. Nothing in
``Items`` raises.
"""

from __future__ import annotations

import sys
import types
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from stagelight import _guard, _names, _outcomes, _sinks
from stagelight._frames import finish
from stagelight._journey import Journey, Turn, open_journey, set_turn
from stagelight._runs import Run, begin_run
from stagelight._spans import Promised, Traced, begin_span
from stagelight._tracer import TRACER

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Generator

    from opentelemetry import trace

    from stagelight._records import StageRecord
    from stagelight._slots import Slot


class Items:
    """A generator's call: one sample for each item, one outcome when it ends.

    Where the generator is the source, each item begins a journey of its own. Else the
    run has one span, which is never current while the generator is suspended.
    """

    __slots__ = ("_light", "_root", "_start", "_traced", "run", "source")

    def __init__(self, run: Run | None) -> None:
        self.run = run
        self.source = run is not None and run.is_source
        self._traced: Traced | None = None
        self._root: trace.Span | None = None
        self._start = 0
        self._light: Slot | None = None

    def step(self) -> None:
        """Begin to make the next item."""
        run = self.run
        if run is None:
            return
        try:
            self._start = clock()
            if run.traced is None and self._step_lightly(run):
                return
            run.blocked = 0
            run.dropped = None
            if self.source and TRACER.on:
                journey = Journey(self._start)
                run.turn = Turn(0, journey, run.stage.pipeline, None)
                if TRACER.due <= self._start:  # else it is outside of the sample
                    self._root = open_journey(
                        journey, run.stage.pipeline.name, end=False
                    )
                run.traced = self._traced = begin_span(
                    run.slot, run.turn, [], nested=False
                )
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("generator", error)
        self.resume()

    def _step_lightly(self, run: Run) -> bool:
        """Begin a step in a thread where nothing is open or was fetched."""
        slot = run.stage.slot()
        worker = slot.worker
        if worker.alert or worker.slot.since:
            return False
        self._light = worker.slot = slot
        slot.since = self._start
        return True

    def _end_lightly(self, slot: Slot, item: Any) -> None:
        """End such a step with an item."""
        self._light = None
        worker = slot.worker
        end = clock()
        slot.produced += 1
        if worker.special:
            finish(slot, worker, None, self._start, end, None, item)
            return
        slot.since = 0
        if end >= slot.roll:
            slot.turn_over(end)
        slot.add(end - self._start)

    def resume(self) -> None:
        """Go into the generator."""
        run = self.run
        if run is not None:
            run.enter_context()
            run.resume()

    def pause(self) -> None:
        """Leave the generator, whatever comes next."""
        run = self.run
        if run is not None:
            run.suspend()
            run.leave_context()

    def item(self, item: Any) -> None:
        """Record one item."""
        run = self.run
        if run is None:
            return
        if self._light is not None:
            try:
                self._end_lightly(self._light, item)
            except Exception as error:  # noqa: BLE001 - never into the pipeline
                _guard.caught("generator", error)
            return
        self.pause()
        try:
            if self._root is not None:
                self._root.end()
                self._root = None
            run.slot.produced += 1
            run.sample(clock() - self._start, traced=self._traced)
            if _sinks.TAPS:
                _sinks.tapped(run.stage, run.event, item, None)
            if self.source and run.turn is not None:
                run.turn.key = id(item)
                set_turn(run.worker, run.turn)
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("generator", error)

    def end(self, error: BaseException | None) -> None:
        """Leave the generator for good, and record how it ended."""
        slot, self._light = self._light, None
        if slot is not None:
            self._leave_lightly(slot)
        else:
            self.pause()
        self.finish(error)

    def _leave_lightly(self, slot: Slot) -> None:
        """Leave a light step in which no item was made."""
        run, worker = self.run, slot.worker
        if run is not None:
            run.slot, run.worker = slot, worker
            run.blocked, run.dropped = worker.pause, worker.dropped
        slot.apart -= clock() - self._start - worker.away
        slot.since = worker.away = worker.pause = worker.attempts = 0
        worker.special = False
        worker.dropped = None

    def finish(self, error: BaseException | None) -> None:
        """Record the end of the whole run, and the raise that ended it."""
        run = self.run
        if run is None:
            return
        try:
            self._finish(run, error)
        except Exception as problem:  # noqa: BLE001 - never into the pipeline
            _guard.caught("generator", problem)

    def _finish(self, run: Run, error: BaseException | None) -> None:
        outcome = _names.SUCCESS
        whole = None if self.source else run.traced
        if error is not None:
            outcome, _ = _outcomes.classify(run.stage, error)
            if outcome != _names.CANCELLED:
                if self._root is not None:
                    self._root.end()
                run.failed(error, clock() - self._start, self._traced or whole)
                whole = None
        run.slot.ends[outcome] = run.slot.ends.get(outcome, 0) + 1
        if isinstance(whole, Promised) and whole.keep(0, outcome):
            return
        if whole is not None and whole.span.is_recording():
            whole.span.set_attribute(_names.OUTCOME, outcome)
            whole.span.end()


def begin_items(stage: StageRecord, event: Any) -> Items:
    """Begin a generator's call.

    Args:
        stage: Where it is recorded.
        event: Its argument.
    """
    return Items(begin_run(stage, event, items=True))


def first_step(generator: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """Start the user's asynchronous generator, unseen by the event loop's hooks.

    Our own generator around it has been announced to them. Were both, then the loop's
    shutdown would close both at once, and the second fails as already running.

    Args:
        generator: The generator, not yet started.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


@types.coroutine
def step(items: Items, awaitable: Any) -> Generator[Any, Any, Any]:
    """Await one item of an asynchronous generator, step by step.

    Args:
        items: The call.
        awaitable: What ``asend`` or ``athrow`` returned.
    """
    run = items.run
    opened = run.slot.open if run is not None else {}
    opened[items] = clock()
    steps = awaitable.__await__()
    value: Any = None
    thrown: BaseException | None = None
    items.step()
    try:
        while True:
            try:
                waited = steps.send(value) if thrown is None else steps.throw(thrown)
            except StopIteration as stop:
                return stop.value
            finally:
                value = thrown = None
                items.pause()
            try:
                value = yield waited
            except BaseException as problem:  # noqa: BLE001 - handed on
                thrown = problem
            items.resume()
    finally:
        opened.pop(items, None)
