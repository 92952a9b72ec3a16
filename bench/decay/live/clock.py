"""Time that passes only when everybody waits, in place of the machine's.

Hours of a pipeline take seconds, and the same seed takes the same course. It has to be
in place before stagelight is imported, which binds the functions of ``time``.
"""

from __future__ import annotations

import queue
import time

NANOSECONDS = 1_000_000_000
#: Where the wall clock begins: any moment does.
EPOCH = 1_750_000_000


class Clock:
    """Seconds that all have run, and seconds in which nobody could.

    Attributes:
        running: What waiting is measured in: it stands still while all are held up.
        held_up: Seconds in which the garbage collector held everybody up.
    """

    def __init__(self) -> None:
        self.running = 0.0
        self.held_up = 0.0

    def now(self) -> float:
        """Seconds since the beginning."""
        return self.running + self.held_up

    def _nanoseconds(self) -> int:
        return round(self.now() * NANOSECONDS)

    def install(self) -> None:
        """Take the place of the clocks of ``time``, in this process for good."""
        start = NANOSECONDS  # 0 stands for "never" in more than one program
        time.perf_counter_ns = time.monotonic_ns = lambda: start + self._nanoseconds()
        time.perf_counter = time.monotonic = lambda: 1.0 + self.now()
        time.time_ns = lambda: EPOCH * NANOSECONDS + self._nanoseconds()
        time.time = lambda: EPOCH + self.now()
        queue.time = time.monotonic  # type: ignore[attr-defined] - bound on import
