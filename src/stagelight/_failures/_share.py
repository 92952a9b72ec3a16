"""How much time capturing may take: beyond it failed events are counted, not kept."""

from __future__ import annotations

from time import perf_counter_ns as clock
from typing import Final

#: Of the time that goes by, which one processor may spend on it.
_SHARE: Final = 0.025
#: Nanoseconds that may be saved up for a burst.
_SAVED: Final = 500_000_000
#: Of so many events one is measured: to ask for a thread's time takes time itself.
_EACH: Final = 8


class Share:
    """An account of processor time, filled as time goes by."""

    def __init__(self) -> None:
        self._left = float(_SAVED)
        self._seen = clock()
        self._number = 0

    def afford(self) -> bool:
        """Whether there is some time left."""
        now = clock()
        self._left = min(self._left + (now - self._seen) * _SHARE, _SAVED)
        self._seen = now
        return self._left > 0

    def measures(self) -> bool:
        """Whether the next event is to be measured; it then counts for several."""
        self._number += 1
        return self._number % _EACH == 1

    def charge_taken(self, took: int) -> None:
        """Take what one event cost that was measured.

        Args:
            took: Nanoseconds of a processor.
        """
        self._left -= took * _EACH

    def charge(self, took: int) -> None:
        """Take what was spent.

        Args:
            took: Nanoseconds of a processor.
        """
        self._left -= took
