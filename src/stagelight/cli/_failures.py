"""Which events failed: the first of each kind by name, all of them by number."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stagelight import _names, _sinks

if TYPE_CHECKING:
    from stagelight._sinks import EventRecord

_NAMED: Final = 10
#: Groups of their own; stages and error types are bounded already.
_MOST: Final = 1024


@dataclass(slots=True)
class Group:
    """Failed events of one stage and one error type.

    Attributes:
        pipeline: Name of the pipeline.
        stage: Name of the stage.
        error_type: What it raised.
        count: How many events.
        events: Identifiers of the first of them.
    """

    pipeline: str
    stage: str
    error_type: str
    count: int = 0
    events: list[str] = field(default_factory=list)


class Failures:
    """Hears of every failed event."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: dict[tuple[str, str, str], Group] = {}

    def install(self) -> None:
        """Listen from now on."""
        _sinks.EVENTS.append(self.note)

    def note(self, record: EventRecord) -> None:
        """Take a record into account.

        Args:
            record: Any record; only those of failed events count.
        """
        if record.name != _names.EXCEPTION_EVENT:
            return
        key = (record.pipeline, record.stage or "", record.error_type or "")
        with self._lock:
            group = self._groups.get(key)
            if group is None:
                if len(self._groups) >= _MOST:
                    return
                group = self._groups[key] = Group(*key)
            group.count += 1
            if record.event_id is not None and len(group.events) < _NAMED:
                group.events.append(record.event_id)

    def groups(self) -> list[Group]:
        """The groups, largest first."""
        with self._lock:
            return sorted(self._groups.values(), key=lambda one: -one.count)
