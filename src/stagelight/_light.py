"""How a light call ends where the wrapper does not end it by itself. Never raises."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from stagelight import _guard, _names, _outcomes
from stagelight._deferred import RESCUERS, rescue
from stagelight._frames import fail, finish
from stagelight._spans import describe
from stagelight._trail import UNSHARED, Quiet, references, settle

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context

    from stagelight._slots import Slot, Trail, Worker


def light_finish(  # noqa: PLR0913, PLR0917 - one call from the wrapper
    slot: Slot,
    worker: Worker,
    trail: Trail | None,
    quiet: Quiet,
    start: int,
    end: int,
    event: Any,
    result: Any,
) -> None:
    """End a light call that was looked at, or that dropped, waited, or was slow."""
    try:
        slow = end - start - worker.pause > slot.slow
        span = quiet.span
        # One more: this function's own argument.
        if span is None and (slow or references(quiet) > UNSHARED + 1):
            span = quiet.reveal()
        outcome = _names.SUCCESS if worker.dropped is None else _names.DROPPED
        pause = worker.pause
        finish(slot, worker, None, start, end, event, result)
        worker.trail = (trail, slot, id(result), span, start, end)
        if span is None:
            if worker.journey is not None:
                settle(worker)
            return
        worker.quiet = Quiet()
        if slow and RESCUERS:
            describe(slot, span, pause, outcome, "", event, None)
        span.ended = end
        settle(worker)
        if span.journey is not None:
            rescue(span.journey, "slow" if slow else "")
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("finish", error)


def light_fail(  # noqa: PLR0913, PLR0917 - one call from the wrapper
    slot: Slot,
    worker: Worker,
    trail: Trail | None,
    token: Token[Context],
    start: int,
    error: BaseException,
    event: Any,
) -> None:
    """End a light call that raised: announce its event, and rescue its journey."""
    try:
        quiet = worker.quiet
        span = None if quiet is None else quiet.reveal()
        pause = worker.pause
        fail(slot, worker, None, start, error, event)
        if span is not None and RESCUERS:
            outcome, error_type = _outcomes.classify(slot.stage, error)
            wanted = outcome in _names.ERRORS
            if wanted:
                describe(slot, span, pause, outcome, error_type, event, error)
            span.end()
            worker.trail = (trail, slot, 0, span, span.began, span.ended)
            settle(worker)
            if span.journey is not None:
                rescue(span.journey, "failure" if wanted else "")
    except Exception as problem:  # noqa: BLE001 - never into the pipeline
        _guard.caught("fail", problem)
    finally:
        worker.quiet = Quiet()
        worker.trail = worker.journey = worker.turn = None
        with contextlib.suppress(ValueError):
            otel_context._RUNTIME_CONTEXT.detach(token)  # noqa: SLF001 - as in _spans
