"""The benchmark's own way to score, as its sweeper does it.

In a window only the earliest detection counts, the more the earlier; each row flagged
outside of one costs, the more the farther behind one; a window without any costs. The
threshold is the one that is best for the whole corpus. Nothing detected is 0, and every
window at its very begin 100.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.nab.corpus import Series

#: The first rows are for learning: their share, and of how many rows at the most.
_LEARNING, _MOST = 0.15, 5000


@dataclass(frozen=True)
class Profile:
    """What errors cost.

    Attributes:
        name: As it is printed.
        false: Of a row that is flagged in vain.
        missed: Of a window that is not found.
    """

    name: str
    false: float
    missed: float


PROFILES = (
    Profile("standard", 0.11, 1.0),
    Profile("low-FP", 0.22, 1.0),
    Profile("low-FN", 0.11, 2.0),
)


def _worth(position: float) -> float:
    """From 1 well before the end of a window, by 0 there, to -1 well behind it."""
    return -1.0 if position > 3 else 2 / (1 + exp(5 * position)) - 1


@dataclass(frozen=True)
class Row:
    """One row: what its detector said, which window it is in, what it is worth."""

    score: float
    window: tuple[str, int] | None
    worth: float


def rows(series: Series, scores: list[float]) -> Iterator[Row]:
    """The rows that count.

    Args:
        series: A file.
        scores: What the detector said of each of its rows.
    """
    best = _worth(-1.0)
    learning = min(floor(_LEARNING * len(scores)), _LEARNING * _MOST)
    windows = iter(enumerate(series.windows))
    number, window = next(windows, (-1, None))
    before: tuple[int, int] | None = None
    for place, score in enumerate(scores):
        if window is not None and place > window[1]:
            before = window
            number, window = next(windows, (-1, None))
        if window is not None and place >= window[0]:
            left, right = window
            worth = _worth(-(right - place + 1) / (right - left + 1)) / best
            name = (series.name, number)
        else:
            name = None
            worth = -1.0
            if before is not None:
                worth = _worth((place - before[1]) / (before[1] - before[0]))
        if place >= learning:
            yield Row(score, name, worth)


def points(
    counted: Iterable[Row], profile: Profile, windows: int
) -> tuple[float, float]:
    """The score of the best threshold, and that threshold.

    Args:
        counted: Rows of all files.
        profile: What errors cost.
        windows: How many windows there are to be found.
    """
    ordered = sorted(counted, key=lambda row: -row.score)
    found: dict[tuple[str, int], float] = {
        row.window: -profile.missed for row in ordered if row.window is not None
    }
    total = nothing = -profile.missed * len(found)
    best, threshold, last = total, 1.1, 1.1
    for row in ordered:
        if row.score != last and total > best:
            best, threshold = total, last
        last = row.score
        if row.window is None:
            total += row.worth * profile.false
        elif row.worth > found[row.window]:
            total += row.worth - found[row.window]
            found[row.window] = row.worth
    if total > best:
        best, threshold = total, last
    return 100 * (best - nothing) / (windows - nothing), threshold
