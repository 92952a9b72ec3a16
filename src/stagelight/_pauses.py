"""How long the garbage collector holds the process up, timed without a Python frame.

A Python function in ``gc.callbacks`` lets other threads run in the middle of a
collection, which CPython 3.11's ``ast.parse`` does not survive. So the callback is put
together of builtins: it adds clock readings to two running sums, and nothing else.
"""

from __future__ import annotations

import gc
import os
import threading
from collections import deque
from functools import partial
from itertools import accumulate
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_NANOSECONDS: Final = 1e9
#: The callback reads the clock so often, since ``min`` asks for each of its arguments.
_READINGS: Final = 2
_TRIES: Final = 8


def _sums(
    now: Callable[[], int],
) -> tuple[deque[tuple[int, int]], Callable[..., Any]]:
    """A place for (readings, their sum), and what adds readings to it.

    Args:
        now: The clock in nanoseconds.
    """
    found = deque([(0, 0)], maxlen=_READINGS + 1)
    added = map(found.append, enumerate(accumulate(iter(now, None)), 1))
    return found, partial(min, key=partial(next, map(bool, added)))


class Pauses:
    """What all collections took, from when it is installed.

    Args:
        now: The clock in nanoseconds.
    """

    def __init__(self, now: Callable[[], int] = clock) -> None:
        self._now = now
        self._before = 0
        self._latest = 0
        self._lock = threading.RLock()
        self._begin()

    def _begin(self) -> None:
        self._starts, started = _sums(self._now)
        self._stops, stopped = _sums(self._now)
        # The collector calls back with the phase and a dict: the phase is set as an
        # attribute, whose setter is the builtin that adds the readings.
        phases: Any = type(
            "Phases",
            (),
            {"start": property(fset=started), "stop": property(fset=stopped)},
        )
        self.callback: Callable[..., object] = partial(setattr, phases())

    def install(self) -> None:
        """Time collections from now on; once is enough."""
        with self._lock:
            if self.callback not in gc.callbacks:
                self._anew()
                gc.callbacks.append(self.callback)

    def uninstall(self) -> None:
        """Leave the collector alone again; what was timed stays."""
        with self._lock:
            while self.callback in gc.callbacks:
                gc.callbacks.remove(self.callback)
            self._anew()

    def forget(self) -> None:
        """Count from 0, as a forked child has to."""
        self._lock = threading.RLock()
        watching = self.callback in gc.callbacks
        self.uninstall()
        self._before = self._latest = 0
        if watching:
            self.install()

    def _anew(self) -> None:
        """Begin at a phase that is known, with what was timed until now."""
        self._before = self.total(mending=False)
        self._begin()

    def total(self, *, mending: bool = True) -> int:
        """Nanoseconds of all collections that have ended.

        Args:
            mending: Whether to begin anew where phases do not fit together.
        """
        taken = self._taken()
        if taken is not None:
            self._latest = max(self._latest, self._before + taken)
        elif mending and self.callback in gc.callbacks:
            self.uninstall()
            self.install()
        return self._latest

    def _taken(self) -> int | None:
        """Nanoseconds since it was installed, None where they cannot be told.

        They cannot where it was installed within a collection, of which only the end
        was seen.
        """
        starts, stops = self._starts, self._stops
        for _ in range(_TRIES):
            # A collection may come between any two steps: an end is read before its
            # start, and the latest start before the one before it.
            ended, ends = stops[-1]
            latest, earlier = starts[-1], starts[0]
            begun, begins = latest if latest[0] <= ended else earlier
            if begun < ended or (begun == ended and ends < begins):
                return None
            if begun == ended:
                return (ends - begins) // _READINGS
        return None


PAUSES: Final = Pauses()


def gc_pause() -> float:
    """Seconds that the garbage collector held this process up."""
    return PAUSES.total() / _NANOSECONDS


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=PAUSES.forget)
