"""Samples sorted into cells, in C where that is built, and values read off them."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import MutableSequence
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING, Final

from stagelight._cells import BOUNDS, FIELD, NANOSECONDS, unpack
from stagelight._extension import NATIVE

if TYPE_CHECKING:
    from collections.abc import Sequence

Buffer = MutableSequence[int]
#: Cells as one number, how many samples are in them, their sum, maximum, minimum.
Folded = tuple[int, int, int, int, int]
#: The same, and how many samples of the buffer are in them.
State = tuple[int, int, int, int, int, int]

_BYTE: Final = 256
#: What two bytes can count.
_SHORT: Final = 0xFFFF
_LAST: Final = len(BOUNDS)
_EDGES: Final = array("q", BOUNDS)


def folded(state: State, waiting: Buffer) -> Folded:
    """Cells, number, sum and extremes with the samples that wait."""
    packed, number, sum_, top, bottom, _ = state
    if not waiting:
        return packed, number, sum_, top, bottom
    if NATIVE is not None:
        try:
            first, fields, more, highest, lowest = NATIVE.count_in(
                waiting, _EDGES, FIELD
            )
        except OverflowError:  # a sample of days
            pass
        else:
            return (
                packed + (int.from_bytes(fields, "little") << 8 * FIELD * first),
                number + len(waiting),
                sum_ + more,
                max(top, highest),
                min(bottom, lowest),
            )
    # Of an array, for which ``sorted`` alone takes several times as long.
    samples = list(waiting)
    samples.sort()
    start, end = 0, len(samples)
    first = cell = bisect_left(BOUNDS, samples[0])
    last = bisect_left(BOUNDS, samples[-1])
    fields = bytearray(FIELD * (last - first + 1))
    while cell < last:
        stop = bisect_right(samples, BOUNDS[cell], start)
        found, place = stop - start, FIELD * (cell - first)
        if found < _BYTE:
            fields[place] = found
        else:
            fields[place : place + FIELD] = found.to_bytes(FIELD, "little")
        start = stop
        cell = bisect_left(BOUNDS, samples[start], cell + 1)
    fields[-FIELD:] = (end - start).to_bytes(FIELD, "little")
    packed += int.from_bytes(fields, "little") << 8 * FIELD * first
    return (
        packed,
        number + end,
        sum_ + sum(samples),
        max(top, samples[-1]),
        min(bottom, samples[0]),
    )


def value_at(rank: float, cells: dict[int, int], top: int, bottom: int) -> float:
    """The value of a rank in seconds, interpolated inside its cell."""
    return values_at([rank], cells, top, bottom)[0]


def values_at(
    ranks: Sequence[float], cells: dict[int, int], top: int, bottom: int
) -> list[float]:
    """The values of ascending ranks in seconds, interpolated inside their cells."""
    found: list[float] = []
    below, left = 0, iter(ranks)
    wanted = next(left)
    for index, number in cells.items():
        reached = below + number
        while reached >= wanted:
            lower = BOUNDS[index - 1] if index else 0
            upper = BOUNDS[index] if index < _LAST else top
            value = lower + (upper - lower) * (wanted - below) / number
            value = top if value > top else max(value, bottom)
            found.append(value / NANOSECONDS)
            wanted = next(left, inf)
        if wanted is inf:
            return found
        below = reached
    return found + [top / NANOSECONDS] * (len(ranks) - len(found))


def packed_values_at(
    ranks: Sequence[float], packed: int, count: int, top: int, bottom: int
) -> list[float]:
    """As ``values_at``, of cells that are one number, and of some samples.

    Args:
        ranks: Ascending.
        packed: The cells.
        count: How many samples are in them.
        top: The largest.
        bottom: The smallest.
    """
    if count > _SHORT or sys.byteorder != "little":
        return values_at(ranks, unpack(packed), top, bottom)
    # Few enough for the lowest two bytes of each cell: counted up in C.
    first = ((packed & -packed).bit_length() - 1) // (8 * FIELD)
    packed >>= 8 * FIELD * first
    data = packed.to_bytes(-(-packed.bit_length() // (8 * FIELD)) * FIELD, "little")
    numbers = array("H", data)[:: FIELD // 2]
    reached = list(accumulate(numbers))
    found: list[float] = []
    for wanted in ranks:
        place = bisect_left(reached, wanted)
        value: float = top
        if place < len(reached):
            index, number = first + place, numbers[place]
            lower = BOUNDS[index - 1] if index else 0
            upper = BOUNDS[index] if index < _LAST else top
            below = reached[place] - number
            value = lower + (upper - lower) * (wanted - below) / number
            value = top if value > top else max(value, bottom)
        found.append(value / NANOSECONDS)
    return found
