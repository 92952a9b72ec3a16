"""Long work in slices, so that no worker waits for the interpreter for long.

A thread that wants the interpreter gets it after the switch interval, five milliseconds
by default, or as soon as who has it sleeps.
"""

from __future__ import annotations

import time
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeVar

    T = TypeVar("T")

#: Nanoseconds of work between two pauses.
_SLICE: Final = 1_500_000
#: Seconds: enough for a waiting thread to wake up and take the interpreter.
_PAUSE: Final = 0.000_05
#: Nanoseconds for which there are pauses at all: where many threads compute, each one
#: may last as long as all their turns, and a collection has to end.
_PATIENCE: Final = 2_000_000_000


class Slices:
    """The slices of one piece of work, in one thread."""

    def __init__(self) -> None:
        now = clock()
        self._due = now + _SLICE
        self._end = now + _PATIENCE

    def breathe(self) -> None:
        """Let others run, where a slice is over."""
        now = clock()
        if self._due <= now < self._end:
            time.sleep(_PAUSE)
            self._due = clock() + _SLICE

    def over(self, things: Iterable[T]) -> Iterator[T]:
        """The same things, with pauses in between.

        Args:
            things: What is worked on one by one.
        """
        for thing in things:
            self.breathe()
            yield thing
