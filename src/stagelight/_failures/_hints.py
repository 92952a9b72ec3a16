"""What failures have in common that successes have not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Events on either side below which nothing is said.
_ENOUGH: Final = 10
#: Share of the failures that a value must have to explain them.
_SHARE: Final = 0.5
#: How many times its share among successes that must be, and the gap between both.
_TIMES: Final = 1.5
_GAP: Final = 0.2
#: Standard errors between both shares: chance gets there once in a million values.
_SURE: Final = 5.0
_MOST: Final = 3


class Hint(NamedTuple):
    """A value that failed events have far more often than successful ones.

    Attributes:
        name: The attribute.
        value: The value.
        failures: Its share among the group's failures, 0 to 1.
        successes: Its share among the sampled successes of the stage.
        text: Both in words.
    """

    name: str
    value: str
    failures: float
    successes: float
    text: str


def hints(
    failed: Mapping[tuple[str, str], int],
    failures: int,
    succeeded: Mapping[tuple[str, str], int],
    successes: int,
) -> list[Hint]:
    """Values that tell failures from successes, the clearest first.

    Args:
        failed: Name and value to their number among the failures.
        failures: How many failures were looked at.
        succeeded: Likewise for the sampled successes.
        successes: How many successes were looked at.
    """
    if failures < _ENOUGH or successes < _ENOUGH:
        return []
    found = []
    for (name, value), number in failed.items():
        bad, good = number / failures, succeeded.get((name, value), 0) / successes
        # Never quite 0 or 1: a small sample may just have missed the value.
        smooth = (succeeded.get((name, value), 0) + 1) / (successes + 2)
        error = math.sqrt(
            _variance(number, failures) + smooth * (1 - smooth) / successes
        )
        if (
            bad >= _SHARE
            and bad - good >= _GAP
            and bad >= good * _TIMES
            and (bad - smooth) / error >= _SURE
        ):
            text = (
                f"{bad:.0%} of these failures have {name}={value} "
                f"({good:.0%} of successes)"
            )
            found.append((bad - good, Hint(name, value, bad, good, text)))
    found.sort(key=lambda pair: (-pair[0], pair[1].name, pair[1].value))
    return [hint for _, hint in found[:_MOST]]


def _variance(number: int, of: int) -> float:
    smooth = (number + 1) / (of + 2)
    return smooth * (1 - smooth) / of
