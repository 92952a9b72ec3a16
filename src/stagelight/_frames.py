"""The full path of an observed call: nesting, carriers, spans, failures.

The compiled wrapper in ``_call`` records a plain call inline and comes here for the
rest. ``enter``, ``finish`` and ``fail`` never raise.
"""

from __future__ import annotations

from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from stagelight import _guard, _names, _outcomes, _sinks
from stagelight._announce import announce_drop, announce_failure
from stagelight._current import POSSIBLE
from stagelight._detailed import UNMEASURED, begin, count, end
from stagelight._late import begin_late
from stagelight._quiet import Quiet
from stagelight._slots import DETAILED, NO_SLOT, Slot, Worker
from stagelight._spans import begin_span, close
from stagelight._toll import COSTS
from stagelight._tracer import TRACER
from stagelight._turns import leave_call, take

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from stagelight._distribution import Distribution
    from stagelight._journey import Turn
    from stagelight._runs import Run
    from stagelight._traced import Traced


class Frame:
    """One open call on the full path, and what to restore when it ends."""

    __slots__ = (
        "attempts",
        "away",
        "cpu",
        "depth",
        "dropped",
        "entry",
        "fresh",
        "nested",
        "outer",
        "pause",
        "previous",
        "run",
        "since",
        "timed",
        "traced",
        "turn",
    )

    attempts: int
    away: int
    cpu: int
    depth: int
    dropped: tuple[str, bool] | None
    entry: Any
    fresh: bool
    nested: bool
    outer: Slot
    pause: int
    previous: Frame | None
    run: Run | None
    since: int
    timed: int
    traced: Traced | None
    turn: Turn | None


def enter(slot: Slot, worker: Worker, event: Any) -> Frame | None:
    """Begin a call on the full path.

    Args:
        slot: This thread's slot of the stage.
        worker: This thread.
        event: The event, to match it with what was fetched.
    """
    try:
        frame = Frame()
        frame.timed = 0 if worker.toll is None else worker.toll.sampled()
        if worker.quiet is None and TRACER.on and POSSIBLE:
            worker.quiet = Quiet()
        frame.turn = None
        frame.traced = None
        frame.fresh = False
        frame.entry = _sinks.entered(slot.stage, event) if _sinks.ENTRIES else None
        try:
            frame.turn, links, frame.fresh = take(slot, worker, event)
            if TRACER.on:
                traced = begin_span(slot, frame.turn, links, nested=not frame.fresh)
                if traced is not None:
                    traced.activate()
                    frame.traced = traced
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("enter", error)
        # From here on nothing can fail: the worker is changed as a whole or not.
        outer = worker.slot
        frame.outer = outer
        frame.nested = outer.since != 0
        if frame.nested and slot.stage.name not in outer.stage.inner:
            outer.stage.inner.add(slot.stage.name)
        frame.since, frame.depth = slot.since, slot.depth
        frame.attempts = 0
        frame.away, frame.pause = worker.away, worker.pause
        frame.dropped = worker.dropped
        frame.previous = worker.frame if frame.nested else None
        frame.run = worker.run
        if slot.since:
            slot.depth += 1
        worker.away = worker.pause = 0
        worker.special = False
        worker.dropped = None
        worker.logged = 0
        worker.frame = frame
        worker.run = None
        frame.cpu = UNMEASURED
        if worker.alert & DETAILED:
            frame.cpu = begin(worker, outer if frame.nested else None)
            count(slot, event)
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("enter", error)
        return None
    return frame


def _leave(slot: Slot, worker: Worker, frame: Frame | None, took: int) -> int:
    """Restore the worker and return the call's duration net of blocked time."""
    away, pause = worker.away, worker.pause
    if frame is not None and frame.cpu != UNMEASURED:
        end(slot, worker, frame.cpu)
    # What was saved is put back rather than undone, so that one call that could not
    # do so (a full stack) is healed by the call around it.
    if frame is None or not frame.nested:
        worker.away = worker.pause = worker.attempts = 0
        worker.special = False
        worker.dropped = None
        slot.since = slot.depth = 0
        if frame is not None:
            worker.frame = None
            worker.run = None
    else:
        worker.run = frame.run
        worker.away = frame.away + took
        worker.pause = frame.pause + pause
        worker.special = True
        worker.dropped = frame.dropped
        worker.slot = frame.outer
        worker.frame = frame.previous
        slot.since, slot.depth = frame.since, frame.depth
    slot.apart += away - pause
    try:
        if frame is None:
            leave_call(worker, slot, None)
        else:
            leave_call(worker, frame, frame.turn if frame.fresh else None)
    except Exception as error:  # noqa: BLE001 - the call itself is recorded all the same
        _guard.caught("leave", error)
    return took - pause


def finish(  # noqa: PLR0913, PLR0917 - one call from the wrapper, no object built for it
    slot: Slot,
    worker: Worker,
    frame: Frame | None,
    start: int,
    end: int,
    event: Any,
    result: Any,
    context: Context | None = None,
) -> None:
    """End a call that returned; its context, where it is not current any more."""
    try:
        dropped = worker.dropped
        pause = worker.pause
        took = _leave(slot, worker, frame, end - start)
        if _sinks.TAPS:
            _sinks.tapped(slot.stage, event, result, None)
        if end >= slot.roll:
            slot.turn_over(end)
        outcome = _names.SUCCESS
        part: Distribution = slot
        if dropped is not None:
            outcome = _names.DROPPED
            part = slot.failure(outcome, "")
            slot.drops[dropped] = slot.drops.get(dropped, 0) + 1
            if _sinks.EVENTS:
                turn = slot.turn if frame is None else frame.turn
                context = context or otel_context.get_current()
                announce_drop(slot, dropped, event, turn, context)
        elif _sinks.SUCCESSES:
            turn = slot.turn if frame is None else frame.turn
            _sinks.succeeded(slot, worker, event, turn)
        if frame is None:
            part.record(took)
            return
        if frame.turn is not None and frame.fresh:
            end_call(frame.turn, slot, end, outcome)
            frame.turn.key = id(result) if result is not None else 0
        close(slot, part, frame.traced, took, pause, outcome, "", event, None)
        if frame.timed:
            COSTS.learn("full", start - frame.timed + clock() - end)
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("finish", error)


def fail(  # noqa: PLR0913, PLR0917 - one call from the wrapper, no object built for it
    slot: Slot,
    worker: Worker,
    frame: Frame | None,
    start: int,
    error: BaseException,
    event: Any,
) -> None:
    """End a call that raised, and announce the failed event."""
    end = clock()
    try:
        stage = slot.stage
        pause = worker.pause
        retries = worker.attempts if frame is None else frame.attempts
        took = _leave(slot, worker, frame, end - start)
        if end >= slot.roll:
            slot.turn_over(end)
        outcome, error_type = _outcomes.classify(stage, error)
        part = slot.failure(outcome, error_type)
        turn = slot.turn if frame is None else frame.turn
        nested = frame is not None and frame.nested
        if frame is not None and turn is not None and frame.fresh:
            end_call(turn, slot, end, outcome)
        traced = frame.traced if frame is not None else None
        wanted = outcome in _names.ERRORS
        context = otel_context.get_current()
        if TRACER.late and wanted and traced is None and worker.logged != id(error):
            traced = begin_late(slot, turn, start)
            context = traced.context
        if wanted and _sinks.EVENTS:
            announce_failure(
                slot,
                worker,
                error,
                event,
                outcome,
                error_type,
                took,
                turn,
                retries,
                context,
                None if frame is None else frame.entry,
            )
        worker.logged = id(error) if nested else 0
        close(slot, part, traced, took, pause, outcome, error_type, event, error)
        if _sinks.TAPS:
            _sinks.tapped(stage, event, None, error)
        if worker.toll is not None:
            worker.toll.apart += clock() - end
    except Exception as problem:  # noqa: BLE001 - never into the pipeline
        _guard.caught("fail", problem)


def end_call(turn: Turn, slot: Slot, end: int, outcome: str) -> None:
    """Note that an observed call of a turn ended: it may be the event's last."""
    turn.ended = end
    turn.outcome = outcome
    turn.slot = slot


def drop(worker: Worker, reason: str, *, intentional: bool) -> bool:
    """Mark the open call as having discarded its event."""
    if worker.slot is NO_SLOT or not worker.slot.since:
        return False
    worker.dropped = (reason, intentional)
    worker.special = True
    return True
