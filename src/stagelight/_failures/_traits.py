"""What failed and successful events are compared by: few values for each name."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final

from stagelight import _names, _outcomes
from stagelight._failures._texts import TEXTS
from stagelight._redaction import HIDDEN

if TYPE_CHECKING:
    from stagelight._failures._encoding import Keys
    from stagelight._journey import Turn

UPSTREAM: Final = "upstream"
SIZE: Final = "payload size"
_LONG: Final = 64
_MOST_VALUES: Final = 32
_MOST_STAGES: Final = 256
_CLASSES: Final = (
    (256, "under 256 B"),
    (4_096, "256 B to 4 KiB"),
    (65_536, "4 to 64 KiB"),
    (1_048_576, "64 KiB to 1 MiB"),
)


class Traits:
    """Reads the attributes of events, and bounds how many values there are.

    Args:
        declared: Attributes or key paths.
        keys: Which names are secret.
    """

    def __init__(self, declared: tuple[str, ...], keys: Keys) -> None:
        self._paths = [(name, name.split(".")) for name in declared]
        self._hidden = {
            name for name, path in self._paths if any(map(keys.secret, path))
        }
        self._seen: dict[tuple[str, str], set[str]] = {}

    def of(self, stage: str, event: Any, turn: Turn | None) -> dict[str, str]:
        """The attributes of an event by name.

        Args:
            stage: Name of the stage that it came to.
            event: The event.
            turn: Where it came from.
        """
        found: dict[str, str] = {}
        for name, path in self._paths:
            value = event
            for key in path:
                value = _outcomes.look_up(value, key)
            if value is None or callable(value):
                continue
            text = HIDDEN if name in self._hidden else TEXTS.text(str(value), _LONG)
            found[name] = self._bounded(stage, name, _names.encodable(text))
        found[UPSTREAM] = self._bounded(stage, UPSTREAM, _upstream(stage, turn))
        found[SIZE] = size_class(event)
        return found

    def _bounded(self, stage: str, name: str, text: str) -> str:
        seen = self._seen.get((stage, name))
        if seen is None:
            if len(self._seen) >= _MOST_STAGES:
                return _names.OTHER
            seen = self._seen[stage, name] = set()
        if text not in seen:
            if len(seen) >= _MOST_VALUES:
                return _names.OTHER
            seen.add(text)
        return text


def _upstream(stage: str, turn: Turn | None) -> str:
    """The stage that an event was in before, where journeys are traced; else its queue.

    Args:
        stage: The stage that it came to.
        turn: Where it came from.
    """
    if turn is None:
        return "-"
    origin = turn.origin
    if not isinstance(origin, int):
        for before, *_ in reversed(origin.done or ()):
            if before.name != stage:
                return before.name
    return turn.queue or "-"


def size_class(event: Any) -> str:
    """How large an event is, by the lengths of its texts and bytes; about.

    Args:
        event: The event.
    """
    number = _length(event)
    if isinstance(event, dict):
        number += sum(map(_length, list(event.values())[:64]))
    elif is_dataclass(event) and not isinstance(event, type):
        number += sum(_length(getattr(event, one.name, None)) for one in fields(event))
    elif isinstance(event, (list, tuple)):
        number += sum(map(_length, event[:64]))
    for limit, name in _CLASSES:
        if number < limit:
            return name
    return "over 1 MiB"


def _length(value: Any) -> int:
    if isinstance(value, (str, bytes, bytearray)):
        return len(value)
    return 8 * len(value) if isinstance(value, (list, tuple, dict, set)) else 8
