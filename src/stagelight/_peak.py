"""The largest value since somebody looked last."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable


class Peak:
    """The largest value since each reader's last look, kept per reader."""

    __slots__ = ("_lock", "_seen", "ever", "now")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._seen: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self.now = 0
        self.ever = 0

    def note(self, value: int) -> None:
        """Take a value into account; cheap, and safe beside readers."""
        if value > self.now:  # noqa: PLR1730 - once for each event
            self.now = value

    def read(self, reader: Hashable, current: int = 0) -> int:
        """The largest value since this reader read last, or ever for a new one.

        Args:
            reader: Any weakly referable object that stands for the reader.
            current: The value now, from which its next period starts.
        """
        with self._lock:
            top, self.now = max(self.now, current), current
            self.ever = max(self.ever, top)
            for other in list(self._seen):
                self._seen[other] = max(self._seen[other], top)
            result = self._seen.get(reader, self.ever)
            self._seen[reader] = current
            return result
