"""Where lower layers announce what upper layers may want to hear.

Empty and free by default. A sink never gets to break the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context


@dataclass(frozen=True)
class EventRecord:
    """One notable thing that happened to one event: the source of its log record.

    Attributes:
        name: Log event name, such as ``stagelight.stage.process.exception``.
        pipeline: Name of the pipeline.
        stage: Name of the stage, or None for a queue's notice.
        queue: Name of the queue that the event came from, or None.
        time_ns: Wall clock in nanoseconds since the epoch.
        error_type: Qualified class of the exception, or None.
        exception: The exception itself, valid only during the notification.
        outcome: One of the documented outcomes.
        event_id: Identifier of the event, or None where it has none.
        attempt: 1 for the first attempt.
        duration: Seconds spent in the stage.
        context: OpenTelemetry context whose span the event belongs to.
        attributes: Anything else, flat.
    """

    name: str
    pipeline: str
    stage: str | None
    queue: str | None
    time_ns: int
    error_type: str | None = None
    exception: BaseException | None = None
    outcome: str | None = None
    event_id: str | None = None
    attempt: int = 1
    duration: float | None = None
    context: Context | None = None
    attributes: dict[str, str | int | float | bool] = field(default_factory=dict)


#: Told of every failed event, drop, and queue notice.
EVENTS: Final[list[Callable[[EventRecord], None]]] = []

#: Gives the alerts of now as plain data, where somebody evaluates rules.
ALERTS: Final[list[Callable[[], list[dict[str, Any]]]]] = []
#: Told to evaluate rules, with what the setting ``alerts`` holds.
ON_ALERTS: Final[list[Callable[[Any], None]]] = []


def announce(record: EventRecord) -> None:
    """Tell every sink of one event record."""
    for sink in EVENTS:
        try:
            sink(record)
        except Exception as error:  # noqa: BLE001, PERF203 - one sink must not stop the next
            _guard.caught("event sink", error)
