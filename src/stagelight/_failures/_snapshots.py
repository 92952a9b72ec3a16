"""An event as it is this moment, in bytes, at a small part of the price of its JSON.

Only what consists of plain values has one: no code of the program's runs, neither when
it is taken nor when it is read. The rest, what is secret above all, is left to the
thread that writes.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

_PROTOCOL: Final = 5


class NoSnapshotError(Exception):
    """The event holds more than plain values, or is too large."""


class _Plain(pickle.Pickler):
    """Refuses whatever is not a plain value: this is asked of nothing else."""

    def reducer_override(self, value: Any) -> NoReturn:
        raise NoSnapshotError(type(value).__name__)


def snapshots(limit: int) -> Callable[[Any], bytes]:
    """What takes snapshots.

    Args:
        limit: Bytes that one may have.

    Returns:
        Takes an event and returns its bytes; raises ``NoSnapshotError`` where it has
        none, and ``RecursionError`` where it is nested too deeply.
    """
    plain, protocol = _Plain, _PROTOCOL
    write, tell = io.BytesIO.write, io.BytesIO.tell

    class Bounded(io.BytesIO):
        def write(self, data: Any) -> int:
            if tell(self) + len(data) > limit:
                raise NoSnapshotError(f"more than {limit:,} bytes")
            return write(self, data)

    def take(event: Any) -> bytes:
        held = Bounded()
        plain(held, protocol).dump(event)
        return held.getvalue()

    return take


def event_in(snapshot: bytes) -> Any:
    """The event of a snapshot that this process has taken.

    Args:
        snapshot: Its bytes.
    """
    return pickle.loads(snapshot)  # noqa: S301 - our own bytes, of plain values only
