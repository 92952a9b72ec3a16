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
from typing import Final

from stagelight._cells import BOUNDS, NANOSECONDS
from stagelight._model import Quantiles

#: Samples that are folded at once: more cost memory, fewer cost time.
BATCH: Final = 256
NEVER: Final = 1 << 62
_SHARES: Final = (0.5, 0.95, 0.99)
_LAST: Final = len(BOUNDS)
_NOTHING: Final = Quantiles(0, None, None, None, None, None)
#: Cells that are not empty, sum, maximum, minimum, and the buffer of what came later.
_State = tuple[dict[int, int], int, int, int, list[int]]
_Folded = tuple[dict[int, int], int, int, int]
#: Buffer of what takes no more samples. No list: the garbage collector passes over it.
_NO_BUFFER: Final[list[int]] = ()  # type: ignore[assignment]


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

    __slots__ = ("_folding", "_seen", "_state", "add", "exemplars")

    def __init__(self) -> None:
        buffer: list[int] = []
        self.add = buffer.append
        self._state: _State = ({}, 0, 0, NEVER, buffer)
        self._folding = False
        #: What a reader sorted of the buffer, and how many samples of it.
        self._seen: tuple[_State, int] | None = None
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
        now = _settled(self._sorted())
        if self.exemplars:
            now.exemplars = dict(self.exemplars)
        return now

    def settle(self) -> None:
        """Take no more samples: what is kept for long is to be small."""
        self._state = (*_folded(self._state), _NO_BUFFER)
        self.add = _refuse

    def _sorted(self) -> _Folded:
        """As ``_folded``, of which an earlier look may have done the most."""
        cells, sum_, top, bottom, buffer = self._state
        done = 0
        if self._seen is not None and self._seen[0][4] is buffer:
            (cells, sum_, top, bottom, _), done = self._seen
        fresh = buffer[done:]
        if not fresh:
            return cells, sum_, top, bottom
        folded = _folded((cells, sum_, top, bottom, fresh))
        self._seen = (*folded, buffer), done + len(fresh)
        return folded

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
        old = before[0].get
        fresh = {
            cell: more
            for cell, number in cells.items()
            if (more := number - old(cell, 0))
        }
        later = _settled((fresh, sum_ - before[1], top, bottom))
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
        return _settled((dict(cells), total, top, 0)) if cells else cls()

    def quantiles(self) -> Quantiles:
        """Count, mean, p50, p95, p99 and maximum, in seconds."""
        cells, sum_, top, bottom = _folded(self._state)
        count = sum(cells.values())
        if not count:
            return _NOTHING
        ranks = [share * count for share in _SHARES]
        p50, p95, p99 = _values(ranks, cells, top, bottom)
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
        if not cells:
            return None
        return _values([share * sum(cells.values())], cells, top, bottom)[0]


def _settled(folded: _Folded) -> Distribution:
    """A distribution that takes no more samples."""
    made = Distribution.__new__(Distribution)
    made._state = (*folded, _NO_BUFFER)  # noqa: SLF001 - our own class
    made.add = _refuse
    made._folding = False  # noqa: SLF001
    made._seen = None  # noqa: SLF001
    made.exemplars = {}
    return made


def _refuse(_: int) -> None:
    raise TypeError("a settled distribution takes no more samples")


def _values(
    ranks: list[float], cells: dict[int, int], top: int, bottom: int
) -> list[float]:
    """The values of ascending ranks in seconds, interpolated inside their cells."""
    found: list[float] = []
    below, wanted = 0, ranks[0]
    for index in sorted(cells):
        number = cells[index]
        while below + number >= wanted:
            lower = BOUNDS[index - 1] if index else 0
            upper = BOUNDS[index] if index < _LAST else top
            value = lower + (upper - lower) * max(wanted - below, 0) / number
            found.append(min(max(value, bottom), top) / NANOSECONDS)
            if len(found) == len(ranks):
                return found
            wanted = ranks[len(found)]
        below += number
    return found + [top / NANOSECONDS] * (len(ranks) - len(found))


def _folded(state: _State) -> _Folded:
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
