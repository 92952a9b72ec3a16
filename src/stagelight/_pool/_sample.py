"""One sample of a call that ran in another process."""

from __future__ import annotations

from time import perf_counter_ns as clock
from time import time_ns
from typing import TYPE_CHECKING, Any

from stagelight import _names, _outcomes, _sinks
from stagelight._cells import NANOSECONDS
from stagelight._sinks import EventRecord

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from stagelight._records import StageRecord

    Call = tuple[Any, tuple[Any, ...], dict[str, Any]]


def sample(  # noqa: PLR0913, PLR0917 - plain data
    stage: StageRecord,
    took: int,
    error: BaseException | None,
    event: Any,
    pool: str,
    context: Context | None,
    call: Call | None = None,
) -> None:
    """Record a call, and announce its failure.

    Args:
        stage: The stage of the pool's calls.
        took: Nanoseconds that it took.
        error: What it raised, or None.
        event: Its first argument.
        pool: Name of the pool.
        context: Creation context of its journey, as far as it is known here.
        call: Function, arguments and keyword arguments, where they are kept.
    """
    slot = stage.slot()
    end = clock()
    if end >= slot.roll:
        slot.turn_over(end)
    if error is None:
        slot.record(took)
        return
    outcome, error_type = _outcomes.classify(stage, error)
    slot.failure(outcome, error_type).record(took)
    if outcome in _names.ERRORS and _sinks.EVENTS:
        _sinks.announce(
            EventRecord(
                name=_names.EXCEPTION_EVENT,
                pipeline=stage.pipeline.name,
                stage=stage.name,
                queue=pool,
                time_ns=time_ns(),
                error_type=error_type,
                exception=error,
                outcome=outcome,
                event_id=_outcomes.event_id(stage, event),
                attempt=_outcomes.attempt(event, 0),
                duration=took / NANOSECONDS,
                context=context,
                source=stage,
                event=event,
                call=call,
            )
        )
