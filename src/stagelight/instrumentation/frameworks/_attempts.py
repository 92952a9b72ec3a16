"""What retry libraries tell of the stage that is running: attempts, waits, give-ups.

The stage keeps one span and one duration for all attempts together; what was repeated
is counted on it, put on its span, and told as log events.
"""

from __future__ import annotations

from time import time_ns
from typing import Any

from opentelemetry import context as otel_context

from stagelight import _names, _outcomes, _retry, _sinks
from stagelight._journey import enclosing
from stagelight._sinks import EventRecord
from stagelight._workers import this_worker
from stagelight.instrumentation.frameworks._spans import add_to_span, set_on_span


def retrying(
    library: str, *, failed: int, wait: float, error: BaseException | None
) -> None:
    """Note that an attempt failed and another one follows; outside of a stage nothing.

    Args:
        library: Which one repeats.
        failed: How many attempts have failed so far.
        wait: Seconds until the next one.
        error: Why the attempt failed, or None where its result was no good.
    """
    here = enclosing(this_worker())
    if here is None:
        return
    _retry.retry()
    add_to_span(_names.RETRY_COUNT, 1)
    add_to_span(_names.RETRY_WAIT, float(wait))
    _announce(
        _names.RETRY_EVENT, here, error, failed, library, {_names.RETRY_WAIT: wait}
    )


def given_up(library: str, *, failed: int, error: BaseException | None) -> None:
    """Note that no further attempt follows; arguments as for ``retrying``."""
    here = enclosing(this_worker())
    if here is None:
        return
    set_on_span(_names.RETRY_GIVEN_UP, True)  # noqa: FBT003
    _announce(_names.GIVEN_UP_EVENT, here, error, failed, library, {})


def _announce(  # noqa: PLR0913, PLR0917 - what a record is made of
    name: str,
    here: Any,
    error: BaseException | None,
    failed: int,
    library: str,
    attributes: dict[str, str | int | float | bool],
) -> None:
    if not _sinks.EVENTS:
        return
    stage = this_worker().slot.stage
    event = getattr(here, "event", None)
    turn = getattr(here, "turn", None)
    _sinks.announce(
        EventRecord(
            name=name,
            pipeline=stage.pipeline.name,
            stage=stage.name,
            queue=(turn.queue or None) if turn is not None else None,
            time_ns=time_ns(),
            error_type=None if error is None else stage.error_type(error),
            event_id=_outcomes.event_id(stage, event),
            attempt=failed,
            context=otel_context.get_current(),
            attributes={_names.RETRY_BY: library, **attributes},
        )
    )
