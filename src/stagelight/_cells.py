"""The fine cells that latencies are counted in, and how readers' buckets follow.

The cell edges are the union of our explicit bucket bounds and of base-2 exponential
bounds (scale 2: four per octave), so explicit buckets and exponential histograms are
both *exact* sums of cells, and quantiles are good to about a tenth.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import cache, lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Final

from stagelight import _names

if TYPE_CHECKING:
    from collections.abc import Mapping

NANOSECONDS: Final = 1_000_000_000
SCALE: Final = 2
_PER_OCTAVE: Final = 1 << SCALE
#: Exponential bounds run from 2**-24 s (60 ns) to 2**12 s (68 minutes).
_FIRST_INDEX: Final = -24 * _PER_OCTAVE
_LAST_INDEX: Final = 12 * _PER_OCTAVE


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

#: A cell's number of samples is a field of so many bytes of one large number: two sets
#: of cells are added, subtracted and published by one operation each, and a number is
#: a third of the memory of a table. A million samples a second fill it in four years.
FIELD: Final = 6
_SPLIT: Final = Struct("<IH")
#: The highest bit of each field, which stays free: there a difference shows which field
#: is below nothing.
_SPARE: Final = sum(1 << 8 * FIELD * (cell + 1) - 1 for cell in range(len(BOUNDS) + 1))


def pack(cells: Mapping[int, int]) -> int:
    """Cells as one number.

    Args:
        cells: Number of samples by cell.
    """
    return sum(number << 8 * FIELD * cell for cell, number in cells.items())


def unpack(packed: int) -> dict[int, int]:
    """Number of samples by cell, where there are any.

    Args:
        packed: Cells as one number.
    """
    if not packed:
        return {}
    # The samples of one stage are in a few neighbouring cells.
    first = ((packed & -packed).bit_length() - 1) // (8 * FIELD)
    packed >>= 8 * FIELD * first
    data = packed.to_bytes(-(-packed.bit_length() // (8 * FIELD)) * FIELD, "little")
    return {
        cell: low | high << 32
        for cell, (low, high) in enumerate(_SPLIT.iter_unpack(data), first)
        if low or high
    }


def subtract(later: int, earlier: int) -> tuple[int, bool]:
    """Cells less earlier ones; nothing is left where more were there before.

    Args:
        later: Cells as one number.
        earlier: The same.

    Returns:
        What is left, and whether it is certain that no cell had more before.
    """
    difference = (later | _SPARE) - earlier
    if difference & _SPARE == _SPARE:
        return difference ^ _SPARE, True
    before = unpack(earlier)
    left = {
        cell: max(number - before.get(cell, 0), 0)
        for cell, number in unpack(later).items()
    }
    return pack(left), False


@lru_cache(maxsize=8)
def _edges(bounds: tuple[float, ...]) -> list[int]:
    return [BOUNDS.index(_explicit_bound(seconds)) for seconds in bounds]


def explicit_counts(
    cells: Mapping[int, int], bounds: tuple[float, ...] = _names.DURATION_BUCKETS
) -> list[int]:
    """Bucket counts for explicit bounds, one more than there are bounds.

    Args:
        cells: The cells of a distribution.
        bounds: Upper bounds in seconds, each one of ours.
    """
    edges = _edges(bounds)
    counts = [0] * (len(edges) + 1)
    for cell, number in cells.items():
        counts[bisect_left(edges, cell)] += number
    return counts


_EXPONENTIAL: Final = [
    _exponential_bound(index) for index in range(_FIRST_INDEX, _LAST_INDEX + 1)
]


@cache
def _exponential_index(cell: int) -> int:
    bound = BOUNDS[min(cell, len(BOUNDS) - 1)]
    return bisect_left(_EXPONENTIAL, bound) + _FIRST_INDEX - 1


def exponential_counts(cells: Mapping[int, int]) -> tuple[int, int, list[int]]:
    """Zero count, offset and bucket counts of a base-2 exponential histogram.

    Samples up to 60 ns count as zero, those above 68 minutes into the last bucket.

    Args:
        cells: The cells of a distribution.
    """
    filled = {cell: number for cell, number in cells.items() if cell}
    zero = cells.get(0, 0)
    if not filled:
        return zero, 0, []
    offset = _exponential_index(min(filled))
    counts = [0] * (_exponential_index(max(filled)) - offset + 1)
    for cell, number in filled.items():
        counts[_exponential_index(cell) - offset] += number
    return zero, offset, counts
