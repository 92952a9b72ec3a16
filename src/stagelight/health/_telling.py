"""Each change of state as one log event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagelight import _names, _sinks
from stagelight._cells import NANOSECONDS
from stagelight._sinks import EventRecord

if TYPE_CHECKING:
    from stagelight.health._machine import Transition


def tell(change: Transition) -> None:
    """Announce one change of state.

    Args:
        change: The change.
    """
    _sinks.announce(
        EventRecord(
            name=_names.STATE_EVENT,
            pipeline=change.pipeline,
            stage=change.stage,
            queue=None,
            time_ns=round(change.time * NANOSECONDS),
            attributes={
                _names.STATE: change.after,
                _names.STATE_BEFORE: change.before,
                _names.STATE_REASON: change.reason,
                _names.STATE_VALUE: float(change.value),
                _names.STATE_LIMIT: float(change.limit),
                _names.STATE_SINCE: change.time,
            },
        )
    )
