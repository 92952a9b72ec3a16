"""Latency distributions from which every reader derives its own buckets.

Values are integer nanoseconds, hence sums are exact and merging is associative. A new
sample costs no more than a list's append: samples wait in a buffer and are sorted into
cells many at a time, which is a third of the work of doing it one by one. The finished
part and its buffer are published as one tuple, so that a reader in another thread sees
each sample exactly once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stagelight._cells import BOUNDS, NANOSECONDS

if TYPE_CHECKING:
    from stagelight._model import Quantiles

#: Samples that are folded at once: more cost memory, fewer cost time.
BATCH: Final = 256
NEVER: Final = 1 << 62
_SHARES: Final = (0.5, 0.95, 0.99)
#: Cells that are not empty, sum, maximum, minimum, and the buffer of what came later.
_State = tuple[dict[int, int], int, int, int, list[int]]


@dataclass(frozen=True)
class Exemplar:
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
        add: Appends one sample to the buffer; who uses it looks it up anew for each
            sample, and calls ``fold`` sooner or later.
        exemplars: The newest sampled span of a cell, where there was one.
    """

    __slots__ = ("_folding", "_state", "add", "exemplars")

    def __init__(self) -> None:
        buffer: list[int] = []
        self.add = buffer.append
        self._state: _State = ({}, 0, 0, NEVER, buffer)
        self._folding = False
        self.exemplars: dict[int, Exemplar] = {}

    @property
    def count(self) -> int:
        """How many samples were recorded."""
        cells, _, _, _, buffer = self._state
        return sum(cells.values()) + len(buffer)

    @property
    def sum(self) -> int:
        """Sum of all samples."""
        _, sum_, _, _, buffer = self._state
        return sum_ + sum(buffer[:])

    @property
    def max(self) -> int:
        """The largest sample, 0 where there is none."""
        return _folded(self._state)[2]

    @property
    def min(self) -> int:
        """The smallest sample; without any, more than a sample can be."""
        return _folded(self._state)[3]

    @property
    def cells(self) -> dict[int, int]:
        """Number of samples by cell, where there are any."""
        return _folded(self._state)[0]

    def record(self, value: int) -> None:
        """Add one sample."""
        self.add(value)
        if len(self._state[4]) >= BATCH:
            self.fold()

    def fold(self) -> int:
        """Sort the buffer into cells; returns how many samples were in it."""
        state = self._state
        buffer = state[4]
        if self._folding or not buffer:
            return 0
        self._folding = True
        fresh: list[int] = []
        try:
            # First, so that whoever interrupts the rest writes what is kept.
            self.add = fresh.append
            folded = _folded(state)
        except BaseException:  # a signal's, such as KeyboardInterrupt
            buffer += fresh
            self.add = buffer.append
            self._folding = False
            raise
        self._state = (*folded, fresh)
        self._folding = False
        return len(buffer)

    def settled(self) -> Distribution:
        """A copy of its own: all samples so far in one consistent look."""
        now = Distribution()
        now._state = (*_folded(self._state), now._state[4])
        now.exemplars = dict(self.exemplars)
        return now

    def merge(self, other: Distribution) -> None:
        """Add all samples of another distribution."""
        theirs = _folded(other._state)
        cells, sum_, top, bottom = _folded(self._state)
        if not cells:
            cells = dict(theirs[0])
        else:
            cells = dict(cells)
            for cell, number in theirs[0].items():
                cells[cell] = cells.get(cell, 0) + number
        fresh: list[int] = []
        self.add = fresh.append
        self._state = (
            cells,
            sum_ + theirs[1],
            max(top, theirs[2]),
            min(bottom, theirs[3]),
            fresh,
        )
        for cell, exemplar in list(other.exemplars.items()):
            mine = self.exemplars.get(cell)
            if mine is None or mine.time_ns < exemplar.time_ns:
                self.exemplars[cell] = exemplar

    def minus(self, earlier: Distribution | None) -> Distribution:
        """What was recorded after an earlier state of the same distribution.

        Its extremes are those of the whole, for they cannot be subtracted.
        """
        if earlier is None:
            return self
        cells, sum_, top, bottom = _folded(self._state)
        before = _folded(earlier._state)  # noqa: SLF001 - our own class
        later = Distribution()
        fresh = {
            cell: number - before[0].get(cell, 0)
            for cell, number in cells.items()
            if number != before[0].get(cell, 0)
        }
        later._state = (fresh, sum_ - before[1], top, bottom, later._state[4])
        later.exemplars = self.exemplars
        return later

    @classmethod
    def of(cls, cells: dict[int, int], total: int, top: int) -> Distribution:
        """A distribution of samples that were counted elsewhere.

        Args:
            cells: Number of samples by cell.
            total: Their sum in nanoseconds.
            top: An upper bound of them.
        """
        made = cls()
        if cells:
            made._state = (dict(cells), total, top, 0, made._state[4])
        return made

    def quantiles(self) -> Quantiles:
        """Count, mean, p50, p95, p99 and maximum, in seconds."""
        from stagelight._model import Quantiles  # for readers only

        cells, sum_, top, bottom = _folded(self._state)
        count = sum(cells.values())
        if not count:
            return Quantiles(0, None, None, None, None, None)
        ordered = sorted(cells.items())
        p50, p95, p99 = (
            _value(share * count, ordered, top, bottom) for share in _SHARES
        )
        mean = sum_ / count / NANOSECONDS
        return Quantiles(count, mean, p50, p95, p99, top / NANOSECONDS)

    def quantile(self, share: float) -> float | None:
        """The value in seconds below which a share of the samples lies.

        Args:
            share: Between 0 and 1.

        Returns:
            Seconds, interpolated inside the cell, or None without samples.
        """
        cells, _, top, bottom = _folded(self._state)
        rank = share * sum(cells.values())
        return _value(rank, sorted(cells.items()), top, bottom) if cells else None


def _value(rank: float, cells: list[tuple[int, int]], top: int, bottom: int) -> float:
    """The value of a rank in seconds, interpolated inside its cell."""
    below = 0
    for index, number in cells:
        if below + number >= rank:
            lower = BOUNDS[index - 1] if index else 0
            upper = BOUNDS[index] if index < len(BOUNDS) else top
            value = lower + (upper - lower) * max(rank - below, 0) / number
            return min(max(value, bottom), top) / NANOSECONDS
        below += number
    return top / NANOSECONDS


def _folded(state: _State) -> tuple[dict[int, int], int, int, int]:
    """Cells, sum and extremes with everything that is in the buffer now."""
    cells, sum_, top, bottom, buffer = state
    if not buffer:
        return cells, sum_, top, bottom
    # A copy: the owner appends meanwhile.
    samples = sorted(buffer[:])
    cells = dict(cells)
    start = 0
    while start < len(samples):
        cell = bisect_left(BOUNDS, samples[start])
        bound = BOUNDS[cell] if cell < len(BOUNDS) else samples[-1]
        end = bisect_right(samples, bound, start)
        cells[cell] = cells.get(cell, 0) + end - start
        start = end
    return (
        cells,
        sum_ + sum(samples),
        max(top, samples[-1]),
        min(bottom, samples[0]),
    )
