"""How a light call ends where the wrapper does not end it by itself. Never raises."""

from __future__ import annotations

import contextlib
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from stagelight import _guard, _names, _outcomes, _sinks
from stagelight._current import CURRENT
from stagelight._deferred import RESCUERS, remember, rescue
from stagelight._frames import end_call, fail, finish
from stagelight._journey import in_loop
from stagelight._quiet import UNSHARED, Quiet, references
from stagelight._spans import describe
from stagelight._tracer import TRACER
from stagelight._trail import settle

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context

    from stagelight._journey import Turn
    from stagelight._slots import Slot, Trail, Worker


def light_finish(  # noqa: PLR0913, PLR0917 - one call from the wrapper
    slot: Slot,
    worker: Worker,
    trail: Trail | None,
    quiet: Quiet | None,
    start: int,
    end: int,
    event: Any,
    result: Any,
) -> None:
    """End a light call that was looked at, or that dropped, waited, or was slow."""
    try:
        slow = span = None
        if quiet is not None:
            slow = end - start - worker.pause > slot.slow
            span = quiet.span
            told = worker.dropped is not None and _sinks.EVENTS
            # One more: this function's own argument.
            if span is None and (slow or told or references(quiet) > UNSHARED + 1):
                span = quiet.reveal()
        outcome = _names.SUCCESS if worker.dropped is None else _names.DROPPED
        pause, turn = worker.pause, slot.turn
        finish(slot, worker, None, start, end, event, result, quiet if span else None)
        slot.turn = None
        if span is not None:
            worker.quiet = Quiet()
            if slow and RESCUERS:
                describe(slot, span, pause, outcome, "", event, None)
            span.ended = end
        if turn is not None:
            _close(turn, slot, worker, end, outcome)
            turn.key = 0 if result is None else id(result)
            if TRACER.on:
                remember(turn.journey, slot.stage, start, end, span)
        else:
            worker.trail = (trail, slot, id(result), span, start, end)
            if span is not None or worker.journey is not None:
                settle(worker)
        if span is not None and span.journey is not None:
            rescue(span.journey, "slow" if slow else "")
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("finish", error)


def light_fail(  # noqa: PLR0913, PLR0917 - one call from the wrapper
    slot: Slot,
    worker: Worker,
    trail: Trail | None,
    token: Token[Context] | None,
    start: int,
    error: BaseException,
    event: Any,
) -> None:
    """End a light call that raised: announce its event, and rescue its journey."""
    try:
        quiet = worker.quiet if token is not None else None
        span = None if quiet is None else quiet.reveal()
        pause, turn = worker.pause, slot.turn
        fail(slot, worker, None, start, error, event)
        slot.turn = None
        outcome, error_type = _outcomes.classify(slot.stage, error)
        if turn is not None:
            _close(turn, slot, worker, clock(), outcome)
            # Another try of a source's event is a journey of its own.
            turn.key = 0 if turn.queue is None else turn.key
        if span is not None and RESCUERS:
            wanted = outcome in _names.ERRORS
            if wanted:
                describe(slot, span, pause, outcome, error_type, event, error)
            span.end()
            if turn is None:
                worker.trail = (trail, slot, 0, span, span.began, span.ended)
                settle(worker)
            elif span.journey is not None:
                remember(span.journey, slot.stage, span.began, span.ended, span)
            if span.journey is not None:
                rescue(span.journey, "failure" if wanted else "")
    except Exception as problem:  # noqa: BLE001 - never into the pipeline
        _guard.caught("fail", problem)
    finally:
        slot.turn = None
        if token is not None:
            worker.quiet = Quiet()
            with contextlib.suppress(ValueError):
                CURRENT.reset(token)
        worker.trail = worker.journey = None
        if worker.turn is not None and worker.turn.queue is None:
            worker.turn = None


def _close(turn: Turn, slot: Slot, worker: Worker, end: int, outcome: str) -> None:
    """Note that a call on a fetched event ended, and that the event is still here."""
    end_call(turn, slot, end, outcome)
    if worker.turn is None and not in_loop():
        worker.turn = turn
