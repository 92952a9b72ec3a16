"""Calls and errors of the last seconds, as one number each.

A second is a field of it, at the place of the second modulo the number of seconds that
are kept: what several workers did is one addition.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Final

#: Seconds of per-second history kept for the rates in ``stats()``.
HISTORY: Final = 64
#: One second's field: four thousand million calls.
FIELD: Final = Struct("<I")
_ALL: Final = Struct(f"<{HISTORY}I")
_BITS: Final = 8 * FIELD.size
_WHOLE: Final = (1 << _BITS * HISTORY) - 1
#: The newest second, and the numbers of finished calls and of errors.
Past = tuple[int, int, int]
NOTHING: Final[Past] = (0, 0, 0)


def past(
    second: int, ring: bytes | bytearray | None, wrongs: bytes | bytearray | None
) -> Past:
    """What rings of fields hold of the seconds before one.

    Args:
        second: The one.
        ring: Finished calls, None where there are none.
        wrongs: Errors, the same.
    """
    before = kept(second % HISTORY, 1)
    return (
        second,
        int.from_bytes(ring, "little") & before if ring else 0,
        int.from_bytes(wrongs, "little") & before if wrongs else 0,
    )


def with_second(known: Past, finished: int, errors: int) -> Past:
    """The same with what its newest second has had so far.

    Args:
        known: What is known of earlier ones.
        finished: Finished calls.
        errors: Errors among them.
    """
    second, before, wrong = known
    shift = second % HISTORY * _BITS
    # A look at two changing numbers may be off by the calls in between.
    return (
        second,
        before + (max(finished, 0) << shift),
        wrong + (max(errors, 0) << shift),
    )


def merged(one: Past, other: Past) -> Past:
    """What two have had together, of the seconds that are kept.

    Args:
        one: What a worker, or several, did.
        other: What others did.
    """
    if one[0] < other[0]:
        one, other = other, one
    second, finished, errors = one
    earlier, more, wrong = other
    if not earlier:
        return one
    if earlier != second:
        recent = kept(second % HISTORY, min(second - earlier, HISTORY))
        more &= recent
        wrong &= recent
    return second, finished + more, errors + wrong


def by_second(known: Past) -> dict[int, tuple[int, int]]:
    """Second to finished calls and errors, where there are any.

    Args:
        known: What is known.
    """
    second, finished, errors = known
    counts, wrongs = (
        _ALL.unpack(number.to_bytes(_ALL.size, "little"))
        for number in (finished, errors)
    )
    return {
        at: (counts[at % HISTORY], wrongs[at % HISTORY])
        for at in range(max(second - HISTORY + 1, 0), second + 1)
        if counts[at % HISTORY]
    }


@lru_cache(maxsize=4 * HISTORY)
def kept(place: int, newer: int) -> int:
    """Every field but those of the newest seconds, for who did not see them.

    Args:
        place: Place of the newest second.
        newer: How many.
    """
    field = (1 << _BITS) - 1
    dropped = {(place - back) % HISTORY for back in range(newer)}
    return _WHOLE - sum(field << _BITS * one for one in dropped)
