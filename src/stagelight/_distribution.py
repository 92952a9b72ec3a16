"""Latency distributions as integer cells, from which every reader derives its own.

One bisect per sample lands in a fine cell. The cell edges are the union of our
explicit bucket bounds and of base-2 exponential bounds (scale 2: four per octave), so
explicit buckets and exponential histograms are both *exact* sums of cells, and
quantiles are good to about a tenth. Values are integer nanoseconds, hence sums are
exact and merging is associative.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from stagelight import _names

if TYPE_CHECKING:
    from collections.abc import Sequence

NANOSECONDS: Final = 1_000_000_000
SCALE: Final = 2
_PER_OCTAVE: Final = 1 << SCALE
#: Exponential bounds run from 2**-24 s (60 ns) to 2**12 s (68 minutes).
_FIRST_INDEX: Final = -24 * _PER_OCTAVE
_LAST_INDEX: Final = 12 * _PER_OCTAVE
_NEVER: Final = 1 << 62


def _exponential_bound(index: int) -> int:
    seconds: float = 2.0 ** (index / _PER_OCTAVE)
    return math.floor(seconds * NANOSECONDS)


def _explicit_bound(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


#: Upper edges of the cells in nanoseconds; one more cell lies above the last.
BOUNDS: Final = sorted(
    {_explicit_bound(seconds) for seconds in _names.PIPELINE_BUCKETS}
    | {_exponential_bound(index) for index in range(_FIRST_INDEX, _LAST_INDEX + 1)}
)
CELLS: Final = len(BOUNDS) + 1


@dataclass(frozen=True)
class Exemplar:
    """One sampled call that a bucket can point at; value in nanoseconds."""

    value: int
    time_ns: int
    trace_id: int
    span_id: int


class Distribution:
    """Counts by cell, with exact sum and extremes, all in nanoseconds.

    ``exemplars`` holds the newest sampled span of a cell, where there was one.
    """

    __slots__ = ("cells", "exemplars", "max", "min", "sum")

    def __init__(self) -> None:
        self.cells = [0] * CELLS
        self.sum = 0
        self.max = 0
        self.min = _NEVER
        self.exemplars: dict[int, Exemplar] = {}

    @property
    def count(self) -> int:
        """How many samples were recorded."""
        return sum(self.cells)

    def record(self, value: int) -> None:
        """Add one sample; the caller makes sure that nobody else writes."""
        self.cells[bisect_left(BOUNDS, value)] += 1
        self.sum += value
        # Not max() and min(): this runs once for each event.
        if value > self.max:  # noqa: PLR1730
            self.max = value
        if value < self.min:  # noqa: PLR1730
            self.min = value

    def merge(self, other: Distribution) -> None:
        """Add all samples of another distribution."""
        self.cells = [
            mine + theirs for mine, theirs in zip(self.cells, other.cells, strict=True)
        ]
        self.sum += other.sum
        self.max = max(self.max, other.max)
        self.min = min(self.min, other.min)
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
        later = Distribution()
        later.cells = [
            now - then for now, then in zip(self.cells, earlier.cells, strict=True)
        ]
        later.sum = self.sum - earlier.sum
        later.max, later.min = self.max, self.min
        later.exemplars = self.exemplars
        return later

    def quantile(self, share: float) -> float | None:
        """The value in seconds below which a share of the samples lies.

        Args:
            share: Between 0 and 1.

        Returns:
            Seconds, interpolated inside the cell, or None without samples.
        """
        count = self.count
        if not count:
            return None
        rank = share * count
        below = 0
        for index, cell in enumerate(self.cells):
            if cell and below + cell >= rank:
                lower = BOUNDS[index - 1] if index else 0
                upper = BOUNDS[index] if index < len(BOUNDS) else self.max
                value = lower + (upper - lower) * max(rank - below, 0) / cell
                return min(max(value, self.min), self.max) / NANOSECONDS
            below += cell
        return self.max / NANOSECONDS  # pragma: no cover - rounding only


@lru_cache(maxsize=8)
def _edges(bounds: tuple[float, ...]) -> list[int]:
    return [BOUNDS.index(_explicit_bound(seconds)) + 1 for seconds in bounds]


def explicit_counts(
    cells: Sequence[int], bounds: tuple[float, ...] = _names.DURATION_BUCKETS
) -> list[int]:
    """Bucket counts for explicit bounds, one more than there are bounds.

    Args:
        cells: The cells of a distribution.
        bounds: Upper bounds in seconds, each one of ours.
    """
    counts = []
    start = 0
    for edge in _edges(bounds):
        counts.append(sum(cells[start:edge]))
        start = edge
    counts.append(sum(cells[start:]))
    return counts


def _exponential_index(cell: int) -> int:
    bound = BOUNDS[min(cell, len(BOUNDS) - 1)]
    return bisect_left(_EXPONENTIAL, bound) + _FIRST_INDEX - 1


_EXPONENTIAL: Final = [
    _exponential_bound(index) for index in range(_FIRST_INDEX, _LAST_INDEX + 1)
]
_INDICES: Final = [_exponential_index(cell) for cell in range(CELLS)]


def exponential_counts(cells: Sequence[int]) -> tuple[int, int, list[int]]:
    """Zero count, offset and bucket counts of a base-2 exponential histogram.

    Samples up to 60 ns count as zero, those above 68 minutes into the last bucket.

    Args:
        cells: The cells of a distribution.
    """
    filled = [cell for cell in range(1, CELLS) if cells[cell]]
    if not filled:
        return cells[0], 0, []
    offset = _INDICES[filled[0]]
    counts = [0] * (_INDICES[filled[-1]] - offset + 1)
    for cell in filled:
        counts[_INDICES[cell] - offset] += cells[cell]
    return cells[0], offset, counts
