"""Coroutine calls, driven step by step so that waiting is no work of their worker."""

from __future__ import annotations

import types
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from stagelight import _guard, _sinks
from stagelight._aside import step_aside
from stagelight._quiet import Quiet
from stagelight._runs import Run, begin_run
from stagelight._traced import Promised

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator
    from contextvars import Token

    from opentelemetry.context import Context

    from stagelight._journey import Turn
    from stagelight._records import StageRecord
    from stagelight._slots import Slot, Worker


class Call:
    """A coroutine's whole call: one sample, its span current from start to end."""

    __slots__ = ("_opened", "run")

    def __init__(self, run: Run) -> None:
        self.run = run
        self._opened = run.slot.open
        self._opened[self] = run.start
        if run.traced is not None and run.traced.token is None:
            run.traced.activate()

    def finish(self, error: BaseException | None, result: Any = None) -> None:
        """End the call."""
        run = self.run
        if run.turn is not None and run.fresh:
            # What the task's next stage is called with goes on with its journey.
            run.turn.key = 0 if result is None else id(result)
        self._opened.pop(self, None)
        run.suspend()
        try:
            took = clock() - run.start
            if error is None:
                run.sample(took, traced=run.traced)
            else:
                run.failed(error, took, run.traced)
        except Exception as problem:  # noqa: BLE001 - never into the pipeline
            _guard.caught("coroutine", problem)


@types.coroutine
def drive(
    stage: StageRecord,
    coroutine: Coroutine[Any, Any, Any],
    event: Any,
    turn: Turn | None = None,
) -> Generator[Any, Any, Any]:
    """Run a coroutine step by step, as ``await`` would, and record it.

    Args:
        stage: Where it is recorded.
        coroutine: The user's coroutine, not yet started.
        event: Its event.
        turn: What it is part of, where that is known.
    """
    run = begin_run(stage, event, turn=turn)
    if run is None:
        # As this is a coroutine too.
        return (yield from coroutine)
    return (yield from _steps(Call(run), coroutine, None))


@types.coroutine
def drive_on(  # noqa: PLR0913, PLR0917 - what the wrapper knows
    slot: Slot,
    worker: Worker,
    coroutine: Coroutine[Any, Any, Any],
    waited: Any,
    start: int,
    event: Any,
    quiet: Quiet | None = None,
    token: Token[Context] | None = None,
) -> Generator[Any, Any, Any]:
    """Go on with a coroutine whose first step, an outermost one, has just ended.

    Args:
        slot: Slot of its stage.
        worker: Its thread.
        coroutine: The user's coroutine, which waits.
        waited: What it waits for.
        start: Clock at its start.
        event: Its event.
        quiet: The context that it runs in, where it was a light step.
        token: What makes that current no more.
    """
    run = None
    try:
        run = Run.begun(slot, worker, start, event)
        run.turn, slot.turn = slot.turn, None
        if quiet is not None and token is not None:
            quiet.turn, quiet.began = run.turn, start
            worker.quiet = Quiet()
            run.traced = Promised.made(quiet, token)
            del quiet
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("begin", error)
    if run is None:
        slot.since = 0
        return (yield from _rest(coroutine, waited))
    return (yield from _steps(Call(run), coroutine, [waited]))


def _rest(coroutine: Coroutine[Any, Any, Any], waited: Any) -> Any:
    """Finish a coroutine unobserved."""
    while True:
        try:
            value = yield waited
        except BaseException as problem:  # noqa: BLE001, PERF203 - handed on
            step_aside(problem)
            try:
                waited = coroutine.throw(problem)
            except StopIteration as stop:
                return stop.value
        else:
            try:
                waited = coroutine.send(value)
            except StopIteration as stop:
                return stop.value


def _steps(
    call: Call, coroutine: Coroutine[Any, Any, Any], first: list[Any] | None
) -> Generator[Any, Any, Any]:
    """Run a coroutine to its end.

    Args:
        call: Its call.
        coroutine: The coroutine.
        first: What it waits for, if its first step is over.
    """
    run = call.run
    value: Any = None
    thrown: BaseException | None = None
    if first is not None:
        try:
            value = yield first.pop()
        except BaseException as problem:  # noqa: BLE001 - handed into the coroutine
            step_aside(problem)
            thrown = problem
    while True:
        run.resume()
        try:
            if thrown is None:
                waited = coroutine.send(value)
            else:
                waited = coroutine.throw(thrown)
        except StopIteration as stop:
            call.finish(None, stop.value)
            if _sinks.TAPS:
                _sinks.tapped(run.stage, run.event, stop.value, None)
            return stop.value
        except BaseException as error:
            call.finish(error)
            raise
        finally:
            # What was thrown in holds this frame: keep no cycle.
            value = thrown = None
        run.suspend()
        try:
            value = yield waited
        except BaseException as problem:  # noqa: BLE001 - handed into the coroutine
            step_aside(problem)
            thrown = problem
        finally:
            waited = None
