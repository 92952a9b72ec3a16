"""The records of failed and of dropped events, as every sink hears of them."""

from __future__ import annotations

from time import perf_counter_ns as clock
from time import time_ns
from typing import TYPE_CHECKING, Any

from stagelight import _guard, _names, _outcomes, _sinks
from stagelight._cells import NANOSECONDS
from stagelight._sinks import EventRecord

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from stagelight._journey import Turn
    from stagelight._slots import Slot, Worker


def announce_failure(  # noqa: PLR0913, PLR0917
    slot: Slot,
    worker: Worker,
    error: BaseException,
    event: Any,
    outcome: str,
    error_type: str,
    took: int,
    turn: Turn | None,
    retries: int,
    context: Context,
    entry: Any = None,
) -> None:
    """Tell the sinks of a failed event, unless an inner call has done so."""
    if worker.logged == id(error) and _outcomes.reported(error):
        return
    stage = slot.stage
    try:
        record = EventRecord(
            name=_names.EXCEPTION_EVENT,
            pipeline=stage.pipeline.name,
            stage=stage.name,
            queue=(turn.queue or None) if turn is not None else None,
            time_ns=time_ns(),
            error_type=error_type,
            exception=error,
            outcome=outcome,
            event_id=_outcomes.event_id(stage, event),
            attempt=_outcomes.attempt(event, retries),
            duration=took / NANOSECONDS,
            context=context,
            source=stage,
            event=event,
            turn=turn,
            trail=worker.trail,
            began=clock() - took,
            entry=entry,
        )
        _sinks.announce(record)
    except Exception as problem:  # noqa: BLE001 - the call itself is recorded all the same
        _guard.caught("announce", problem)


def announce_drop(
    slot: Slot,
    dropped: tuple[str, bool],
    event: Any,
    turn: Turn | None,
    context: Context,
) -> None:
    """Tell the sinks of an event that its stage discarded."""
    stage = slot.stage
    try:
        record = EventRecord(
            name=_names.DROPPED_EVENT,
            pipeline=stage.pipeline.name,
            stage=stage.name,
            queue=(turn.queue or None) if turn is not None else None,
            time_ns=time_ns(),
            outcome=_names.DROPPED,
            event_id=_outcomes.event_id(stage, event),
            attempt=_outcomes.attempt(event, 0),
            context=context,
            attributes={
                _names.DROP_REASON: dropped[0],
                _names.DROP_INTENTIONAL: dropped[1],
            },
        )
        _sinks.announce(record)
    except Exception as problem:  # noqa: BLE001 - the call itself is recorded all the same
        _guard.caught("announce", problem)
