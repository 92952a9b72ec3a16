"""Where lower layers announce what upper layers may want to hear.

Empty and free by default. A sink never gets to break the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.context import Context

    from stagelight._journey import Turn
    from stagelight._records import StageRecord
    from stagelight._slots import Slot, Trail, Worker


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
        source: Record of the stage, or None for a queue's notice.
        event: The event of a failed call, valid only during the notification.
        turn: What its worker did with the event so far, or None; as above.
        trail: What led to it without a queue, or None; as above.
        began: Clock at the start of the call, 0 where it is not told.
        call: Function, arguments and keyword arguments of a task that another process
            ran, or None; valid only during the notification.
        entry: What ``ENTRIES`` made of the event as the call began, or None.
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
    source: StageRecord | None = None
    event: Any = None
    turn: Turn | None = None
    trail: Trail | None = None
    began: int = 0
    call: tuple[Any, tuple[Any, ...], dict[str, Any]] | None = None
    entry: Any = None


#: Told of every failed event, drop, and queue notice.
EVENTS: Final[list[Callable[[EventRecord], None]]] = []
#: Told of successful calls that end on the full path, or were marked to do so; empty
#: but for a sampler.
SUCCESSES: Final[list[Callable[[Slot, Worker, Any, Turn | None], None]]] = []
#: Takes stage and event as a call begins, and returns what its failure is to have
#: along; empty unless somebody wants events as they were. At most one.
ENTRIES: Final[list[Callable[[StageRecord, Any], Any]]] = []

#: Told when the program has configured telemetry.
CONFIGURED: Final[list[Callable[[], None]]] = []
#: Gives pipeline, stage and state of health of each stage, where somebody watches it.
STATUS: Final[list[Callable[[], Iterable[tuple[str, str, str]]]]] = []

#: Gives the alerts of now as plain data, where somebody evaluates rules.
ALERTS: Final[list[Callable[[], list[dict[str, Any]]]]] = []
#: What a stage seldom did, for the page.
HINTS: Final[list[Callable[[], list[dict[str, Any]]]]] = []
#: Told of stage, event, and result or exception of a call, while somebody looks.
TAPS: Final[list[Callable[[StageRecord, Any, Any, BaseException | None], None]]] = []


def tapped(
    stage: StageRecord, event: Any, result: Any, error: BaseException | None
) -> None:
    """Show a call to those who look."""
    for tap in TAPS:
        try:
            tap(stage, event, result, error)
        except Exception as problem:  # noqa: BLE001, PERF203 - never into the pipeline
            _guard.caught("tap", problem)


#: Who is told of alerts in place of the logger; at most one.
TELL: Final[list[Callable[[list[Any]], None]]] = []
#: Who evaluates rules before long, unless somebody else does or stops it; at most one.
AWAITED: Final[list[object]] = []
#: Told to evaluate rules, with what the setting ``alerts`` holds.
ON_ALERTS: Final[list[Callable[[Any], None]]] = []


def entered(stage: StageRecord, event: Any) -> Any:
    """What is to be kept of an event as its call begins, None where nothing is."""
    for entry in ENTRIES:
        try:
            return entry(stage, event)
        except Exception as problem:  # noqa: BLE001, PERF203 - never into the pipeline
            _guard.caught("entry", problem)
    return None


def announce(record: EventRecord) -> None:
    """Tell every sink of one event record."""
    for sink in EVENTS:
        try:
            sink(record)
        except Exception as error:  # noqa: BLE001, PERF203 - one sink must not stop the next
            _guard.caught("event sink", error)


def succeeded(slot: Slot, worker: Worker, event: Any, turn: Turn | None) -> None:
    """Tell of a successful call.

    Args:
        slot: Slot of its stage.
        worker: Its thread.
        event: Its event.
        turn: Where the event came from, or None.
    """
    for sink in SUCCESSES:
        try:
            sink(slot, worker, event, turn)
        except Exception as error:  # noqa: BLE001, PERF203 - one sink must not stop the next
            _guard.caught("success sink", error)
