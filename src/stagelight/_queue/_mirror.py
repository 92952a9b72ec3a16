"""What a queue holds, seen from beside it: when each event went in, on which journey.

The queue itself stores, compares and returns the user's own objects only.
"""

from __future__ import annotations

from collections import deque
from heapq import nlargest
from itertools import islice
from typing import Protocol

from stagelight._journey import Journey

#: Clock at the put, and the journey of the event; only the clock where it begins there.
Entry = tuple[int, Journey | int] | int


def put_at(entry: Entry) -> int:
    """Clock at the put of an event."""
    return entry if isinstance(entry, int) else entry[0]


class Mirror(Protocol):
    """Carriers of the events in one queue, guarded by that queue's own lock."""

    @property
    def count(self) -> int:
        """How many entries it holds."""

    def push(self, item: object, entry: Entry) -> None:
        """Note an event that went in."""

    def pop(self, item: object) -> Entry | None:
        """Take the entry of an event that came out, None where it has none."""

    def oldest(self, size: int | None) -> int | None:
        """Clock at the put of the oldest event, None where there is none.

        Args:
            size: Size of the queue now: entries beyond it are of events that left
                behind our back.
        """

    def resize(self, size: int) -> None:
        """Drop entries of events that left the queue behind our back."""


class FifoMirror:
    """Entries in the order of a first in, first out queue."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()

    @property
    def count(self) -> int:
        """How many entries it holds."""
        return len(self.entries)

    def push(self, item: object, entry: Entry) -> None:  # noqa: ARG002
        """Note an event that went in."""
        self.entries.append(entry)

    def pop(self, item: object) -> Entry | None:  # noqa: ARG002
        """Take the entry of the event that came out."""
        return self.entries.popleft() if self.entries else None

    def oldest(self, size: int | None) -> int | None:
        """Clock at the put of the oldest event, None where there is none."""
        try:
            if not size:
                return None
            return put_at(self.entries[-min(size, len(self.entries))])
        except IndexError:  # the last one was fetched meanwhile
            return None

    def resize(self, size: int) -> None:
        """Drop the oldest entries down to a size."""
        while len(self.entries) > size:
            self.entries.popleft()


class LifoMirror(FifoMirror):
    """Entries in the order of a last in, first out queue."""

    def pop(self, item: object) -> Entry | None:  # noqa: ARG002
        """Take the entry of the event that came out."""
        return self.entries.pop() if self.entries else None


class IdentityMirror:
    """Entries by ``id(item)``, for queues with an order of their own.

    An object that is in the queue several times (``None``, small integers, interned
    strings) has several entries, served first in, first out.
    """

    def __init__(self) -> None:
        self._entries: dict[int, deque[Entry]] = {}
        self.count = 0

    def push(self, item: object, entry: Entry) -> None:
        """Note an event that went in."""
        self._entries.setdefault(id(item), deque()).append(entry)
        self.count += 1

    def pop(self, item: object) -> Entry | None:
        """Take the entry of the event that came out, None where it has none."""
        entries = self._entries.get(id(item))
        if not entries:
            return None
        self.count -= 1
        entry = entries.popleft()
        if not entries:
            # Somebody may have appended meanwhile; one lost entry does no harm.
            self._entries.pop(id(item), None)
        return entry

    def oldest(self, size: int | None) -> int | None:
        """Clock at the put of the oldest event, None where there is none."""
        if not size:
            return None
        lists = list(self._entries.values())
        stamps = [put_at(entry) for entries in lists for entry in entries.copy()]
        if len(stamps) <= size:
            return min(stamps, default=None)
        return nlargest(size, stamps)[-1]

    def resize(self, size: int) -> None:
        """Drop the oldest entries down to a size."""
        # In the order of their keys' first puts: close to the order by age.
        for key in list(islice(self._entries, max(self.count - size, 0))):
            entries = self._entries.get(key)
            while entries and self.count > size:
                entries.popleft()
                self.count -= 1
            if not entries:
                self._entries.pop(key, None)
