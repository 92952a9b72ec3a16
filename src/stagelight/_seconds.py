"""What finished in each of the last seconds, in rings of four bytes a second.

Rings are bytes: the garbage collector does not look at them.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from stagelight._totals import HISTORY

if TYPE_CHECKING:
    from collections.abc import Iterator

_COUNT: Final = Struct("I")
_RING: Final = bytes(_COUNT.size * HISTORY)


def new_ring() -> bytearray:
    """A ring in which nothing was counted."""
    return bytearray(_RING)


def note(ring: bytearray, second: int, number: int, following: int) -> None:
    """Keep what a second counted, and that there was nothing until another one.

    Args:
        ring: Where to.
        second: On the monotonic clock.
        number: What it counted.
        following: The next second that counts anything.
    """
    _COUNT.pack_into(ring, second % HISTORY * _COUNT.size, number)
    for idle in range(max(second + 1, following - HISTORY + 1), following):
        _COUNT.pack_into(ring, idle % HISTORY * _COUNT.size, 0)


def before(ring: bytearray | None, now: int) -> Iterator[int]:
    """The counts of the seconds before the present one, the oldest first.

    Args:
        ring: Where they are; None for none.
        now: The present second.
    """
    if ring is None:
        return iter([0] * (HISTORY - 1))
    counts = memoryview(ring).cast("I").tolist()
    place = now % HISTORY
    return iter([*counts[place + 1 :], *counts[:place]])
