"""Says when a series does what it seldom did: a hint, never an alert.

Two things may surprise: where the value stands, beside what is usual at that time of
the day, and how far it jumped. Each is weighed by how seldom this very series did as
much before, so that one threshold serves all series, whatever their noise. An episode
is told at its begin, and again only where it becomes worse.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from math import log2, log10, sqrt
from typing import Final

#: Share of a new value in the moving mean, in usual mean and spread, in a time of day.
_FAST: Final = 0.1
_SLOW: Final = 0.0005
_DAILY: Final = 0.02
_DAY: Final = 86_400.0
_SLOTS: Final = 48
#: A time of day that was seen so often is known, and is no longer counted.
_KNOWN: Final = int(1 / _DAILY)
#: Samples before anything is told, and in which an episode is told but once.
_LEARNING: Final = 50
_EPISODE: Final = 150
#: Classes of surprise for each doubling, and what an old one counts after each sample.
_CLASSES: Final = 8
_FADING: Final = 1 - 1e-5
#: Two surprises of once in 100,000 are certainty.
_CERTAIN: Final = 10.0
#: From here on it is worth a look: where false alarms count most, it is best.
NOTABLE: Final = 0.45


class Usual:
    """Moving mean and spread; how far a value is from them."""

    __slots__ = ("_count", "_mean", "_variance")

    def __init__(self) -> None:
        self._count = 0
        self._mean = self._variance = 0.0

    def distance(self, value: float, smooth: float) -> float:
        """How many times the usual spread something is from the usual.

        Args:
            value: The next value, which is usual from now on.
            smooth: What is compared: the value, or a mean of the last.
        """
        self._count += 1
        if self._count == 1:
            self._mean = value
        mean = self._mean
        found = abs(smooth - mean) / (sqrt(self._variance) + 1e-9 * (abs(mean) + 1))
        share = max(_SLOW, 1 / self._count)
        away = value - mean
        self._mean += share * away
        self._variance = (1 - share) * (self._variance + share * away * away)
        return found


class Rarity:
    """How seldom a series was as surprising as this, as a power of ten."""

    __slots__ = ("_places", "_total", "_weight", "_weights")

    def __init__(self) -> None:
        #: The classes that there are, rising, and what each has.
        self._places = array("h")
        self._weights = array("d")
        self._total = 0.0
        self._weight = 1.0

    def of(self, surprise: float) -> float:
        """The rarity: 2 is once in a hundred.

        Args:
            surprise: The next one, at least 0.
        """
        place = int(_CLASSES * log2(surprise + 1e-3))
        weight = self._weight
        at = bisect_left(self._places, place)
        above = sum(self._weights[at:])
        found = -log10((above + weight) / (self._total + weight))
        # What is new counts more and more, in place of all else less and less.
        self._weight = weight = weight / _FADING
        if at == len(self._places) or self._places[at] != place:
            self._places.insert(at, place)
            self._weights.insert(at, 0.0)
        self._weights[at] += weight
        self._total += weight
        if weight > 1e100:  # noqa: PLR2004 - far from the end of floats
            self._weights = array("d", [have / weight for have in self._weights])
            self._total /= weight
            self._weight = 1.0
        return found


class Detector:
    """One series: a value at a time, from 0, as always, to 1."""

    __slots__ = (
        "_begin",
        "_count",
        "_jump",
        "_level",
        "_rare_jump",
        "_rare_level",
        "_seen",
        "_smooth",
        "_usual",
        "_value",
        "_worst",
        "_worst_at",
    )

    def __init__(self) -> None:
        self._count = 0
        self._begin = self._value = self._smooth = 0.0
        #: Of each time of day how often it was seen, and its mean.
        self._seen = array("B", bytes(_SLOTS))
        self._usual = array("d", bytes(8 * _SLOTS))
        self._level, self._jump = Usual(), Usual()
        self._rare_level, self._rare_jump = Rarity(), Rarity()
        #: Numbers and rarities, falling: the first is the episode's worst.
        self._worst_at = array("I")
        self._worst = array("d")

    def update(self, now: float, value: float) -> float:
        """Take the next value; 0 where an episode goes on that was told.

        Args:
            now: Time in seconds.
            value: It.
        """
        if not self._count:
            self._begin, self._value = now, value
        self._count += 1
        rarity = self._rare_level.of(self._surprising_level(now, value))
        jump = value - self._value
        self._value = value
        rarity += self._rare_jump.of(self._jump.distance(jump, jump))
        if self._count < _LEARNING:
            return 0.0
        return self._edge(min(rarity / _CERTAIN, 1.0))

    def _surprising_level(self, now: float, value: float) -> float:
        slot = int(now % _DAY * _SLOTS / _DAY)
        seen, usual = self._seen[slot], self._usual[slot]
        away = value - usual if seen else 0.0
        self._usual[slot] += max(1 / (seen + 1), _DAILY) * (value - usual)
        self._seen[slot] = min(seen + 1, _KNOWN)
        self._smooth += max(_FAST, 1 / self._count) * (away - self._smooth)
        if now - self._begin < _DAY:
            self._level.distance(away, 0.0)
            return 0.0
        return self._level.distance(away, self._smooth)

    def _edge(self, score: float) -> float:
        at, scores = self._worst_at, self._worst
        while at and at[0] <= self._count - _EPISODE:
            del at[0], scores[0]
        worst = scores[0] if scores else 0.0
        while scores and scores[-1] <= score:
            del at[-1], scores[-1]
        at.append(self._count)
        scores.append(score)
        return score if score > worst else 0.0
