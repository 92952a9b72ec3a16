"""Latency distributions from which every reader derives its own buckets.

Values are integer nanoseconds, hence sums are exact and merging is associative. A new
sample costs no more than an array's append: samples wait in a buffer and are sorted
into cells many at a time, which is a third of the work of doing it one by one.

What is finished is one tuple, replaced as a whole, which also tells how many samples at
the buffer's front are in it already. A reader in another thread copies the buffer, and
looks again where the tuple was replaced meanwhile: it sees each sample exactly once.
"""

from __future__ import annotations

import sys
from array import array
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from stagelight._cells import NANOSECONDS, pack, subtract, unpack
from stagelight._folding import folded, packed_values_at, value_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._folding import Buffer, Folded, State
    from stagelight._model import Quantiles

#: Samples that are folded at once: more cost memory, fewer cost time.
BATCH: Final = 112
#: Samples that a merge leaves to be folded.
_HEAP: Final = 4096
NEVER: Final = 1 << 62
_BLANK: Final = (0, 0, 0, 0, NEVER, 0)
_SHARES: Final = (0.5, 0.95, 0.99)


def _array() -> array[int]:
    return array("Q")


#: Makes a buffer. An array takes a fifth of the memory of a list of as many numbers,
#: but may not be read while it grows where there is no interpreter lock.
_buffer: Final[Callable[[], Buffer]] = (
    _array if getattr(sys, "_is_gil_enabled", lambda: True)() else list
)

#: Of those that take no more samples.
_EMPTY: Final = _buffer()


class Exemplar(NamedTuple):
    """One sampled call that a bucket can point at; value in nanoseconds."""

    value: int
    time_ns: int
    trace_id: int
    span_id: int


class Distribution:
    """Counts by cell, with exact sum and extremes, all in nanoseconds.

    One thread at a time may write. What interrupts it there, a signal handler or a
    finalizer, may write as well. Everybody may read.

    Attributes:
        add: Appends one sample to the buffer; who uses it calls ``fold`` sooner or
            later.
    """

    __slots__ = ("_buffer", "_exemplars", "_folding", "_state", "add")

    def __init__(self) -> None:
        self._buffer = _buffer()
        self.add = self._buffer.append
        self._state: State = _BLANK
        self._folding = False
        self._exemplars: dict[int, Exemplar] | None = None

    @property
    def exemplars(self) -> dict[int, Exemplar]:
        """The newest sampled span of a cell, where there was one; for the writer."""
        found = self._exemplars
        if found is None:
            found = self._exemplars = {}
        return found

    @property
    def count(self) -> int:
        """How many samples were recorded."""
        state = self._state
        if not self._buffer and state is self._state:
            return state[1]
        state, waiting = self._look()
        return state[1] + len(waiting)

    @property
    def sum(self) -> int:
        """Sum of all samples."""
        state = self._state
        if not self._buffer and state is self._state:
            return state[2]
        state, waiting = self._look()
        return state[2] + sum(waiting)

    @property
    def max(self) -> int:
        """The largest sample, 0 where there is none."""
        return self._whole()[3]

    @property
    def min(self) -> int:
        """The smallest sample; without any, more than a sample can be."""
        return self._whole()[4]

    @property
    def cells(self) -> dict[int, int]:
        """Number of samples by cell, where there are any."""
        return unpack(self._whole()[0])

    def _look(self) -> tuple[State, Buffer]:
        """What is finished, and a copy of what is not, as they were at one moment."""
        while True:
            state = self._state
            waiting = self._buffer[:]
            if state is self._state:
                break
        done = state[5]
        if done and len(waiting) >= done:
            waiting = waiting[done:]
        return state, waiting

    def _whole(self) -> Folded:
        """All samples so far, sorted into cells."""
        state = self._state
        if not self._buffer and state is self._state:
            return state[:5]
        return folded(*self._look())

    def record(self, value: int) -> None:
        """Add one sample."""
        self.add(max(0, value))
        if len(self._buffer) >= BATCH:
            self.fold()

    def fold(self) -> int:
        """Sort the buffer into cells; returns how many samples were in it."""
        buffer = self._buffer
        if self._folding or not buffer:
            return 0
        self._folding = True
        try:
            state, waiting = self._look()
            number = len(waiting)
            done = state[5] + number
            now = folded(state, waiting)
            both: State = (*now, done)
            after: State = (*now, 0)
            # No calls from here on: nothing interrupts it where that matters. What was
            # recorded meanwhile is at the buffer's end, and stays there.
            self._state = both
            del buffer[:done]
            self._state = after
        finally:
            self._folding = False
        return number

    def settled(self) -> Distribution:
        """A copy of its own: all samples so far in one consistent look."""
        now = _settled(self._whole())
        if self._exemplars:
            now._exemplars = dict(self._exemplars)  # noqa: SLF001 - our own class
        return now

    def merge(self, other: Distribution) -> None:
        """Add all samples of another distribution."""
        while True:
            state = other._state
            waiting = other._buffer[:]
            if state is other._state:
                break
        more, further, total, highest, lowest, done = state
        if waiting:
            if done and len(waiting) >= done:
                waiting = waiting[done:]
            if self._buffer is _EMPTY:
                self._buffer = _buffer()
                self.add = self._buffer.append
            # Sorted into cells later, with those of all that are merged.
            self._buffer.extend(waiting)
            if len(self._buffer) > _HEAP:
                self.fold()
        if further:
            packed, number, sum_, top, bottom, done = self._state
            self._state = (
                packed + more,
                number + further,
                sum_ + total,
                max(highest, top),
                min(lowest, bottom),
                done,
            )
        for cell, exemplar in list((other._exemplars or {}).items()):
            mine = self.exemplars.get(cell)
            if mine is None or mine.time_ns < exemplar.time_ns:
                self.exemplars[cell] = exemplar

    def minus(self, earlier: Distribution | None) -> Distribution:
        """What was recorded after an earlier state of the same distribution.

        Its extremes are those of the whole, for they cannot be subtracted.
        """
        if earlier is None:
            return self
        packed, number, sum_, top, bottom = self._whole()
        before = earlier._whole()  # noqa: SLF001 - our own class
        packed, exact = subtract(packed, before[0])
        number = number - before[1] if exact else sum(unpack(packed).values())
        sum_ = max(sum_ - before[2], 0)
        later = _settled((packed, number, sum_, top, bottom))
        later._exemplars = self._exemplars  # noqa: SLF001
        return later

    @classmethod
    def of(cls, cells: dict[int, int], total: int, top: int) -> Distribution:
        """A distribution of samples that were counted elsewhere.

        Args:
            cells: Number of samples by cell.
            total: Their sum in nanoseconds.
            top: An upper bound of them.
        """
        if not cells:
            return cls()
        return _settled((pack(cells), sum(cells.values()), total, top, 0))

    def quantiles(self) -> Quantiles:
        """Count, mean, p50, p95, p99 and maximum, in seconds."""
        kind = _quantiles()
        packed, count, sum_, top, bottom = self._whole()
        if not count:
            return kind(0, None, None, None, None, None)
        ranks = [share * count for share in _SHARES]
        p50, p95, p99 = packed_values_at(ranks, packed, count, top, bottom)
        mean = sum_ / count / NANOSECONDS
        return kind(count, mean, p50, p95, p99, top / NANOSECONDS)

    def quantile(self, share: float) -> float | None:
        """The value in seconds below which a share of the samples lies.

        Args:
            share: Between 0 and 1.

        Returns:
            Seconds, interpolated inside the cell, or None without samples.
        """
        packed, count, _, top, bottom = self._whole()
        return value_at(share * count, unpack(packed), top, bottom) if count else None


@cache
def _quantiles() -> type[Quantiles]:
    """What only readers need is loaded with the first of them."""
    from stagelight._model import Quantiles

    return Quantiles


def _settled(whole: Folded) -> Distribution:
    """A distribution that takes no more samples, but by a merge."""
    made = Distribution.__new__(Distribution)
    made._buffer = _EMPTY  # noqa: SLF001 - our own class
    made._state = (*whole, 0)  # noqa: SLF001
    made._folding = False  # noqa: SLF001
    made._exemplars = None  # noqa: SLF001
    made.add = _refuse
    return made


def _refuse(_: int) -> None:
    raise TypeError("a settled distribution takes no more samples")
