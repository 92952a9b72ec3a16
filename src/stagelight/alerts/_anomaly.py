"""Says when a series does what it seldom did: a hint, never an alert.

Two things may surprise: where the value stands, beside what is usual at that time of
the day, and how far it jumped. Each is weighed by how seldom this very series did as
much before, so that one threshold serves all series, whatever their noise. An episode
is told at its begin, and again only where it becomes worse.
"""

from __future__ import annotations

from collections import deque
from math import log2, log10, sqrt
from typing import Final

#: Share of a new value in the moving mean, in usual mean and spread, in a time of day.
_FAST: Final = 0.1
_SLOW: Final = 0.0005
_DAILY: Final = 0.02
_DAY: Final = 86_400.0
_SLOTS: Final = 48
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

    __slots__ = ("_classes", "_total", "_weight")

    def __init__(self) -> None:
        self._classes: dict[int, float] = {}
        self._total = 0.0
        self._weight = 1.0

    def of(self, surprise: float) -> float:
        """The rarity: 2 is once in a hundred.

        Args:
            surprise: The next one, at least 0.
        """
        place = int(_CLASSES * log2(surprise + 1e-3))
        weight = self._weight
        above = sum(have for one, have in self._classes.items() if one >= place)
        found = -log10((above + weight) / (self._total + weight))
        # What is new counts more and more, in place of all else less and less.
        self._weight = weight = weight / _FADING
        self._classes[place] = self._classes.get(place, 0.0) + weight
        self._total += weight
        if weight > 1e100:  # noqa: PLR2004 - far from the end of floats
            self._classes = {k: have / weight for k, have in self._classes.items()}
            self._total /= weight
            self._weight = 1.0
        return found


class Detector:
    """One series: a value at a time, from 0, as always, to 1."""

    __slots__ = (
        "_begin",
        "_count",
        "_daily",
        "_jump",
        "_level",
        "_rare_jump",
        "_rare_level",
        "_recent",
        "_smooth",
        "_value",
    )

    def __init__(self) -> None:
        self._count = 0
        self._begin = self._value = self._smooth = 0.0
        self._daily: list[tuple[int, float]] = [(0, 0.0)] * _SLOTS
        self._level, self._jump = Usual(), Usual()
        self._rare_level, self._rare_jump = Rarity(), Rarity()
        #: Number and rarity, falling: the first is the episode's worst.
        self._recent: deque[tuple[int, float]] = deque()

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
        seen, usual = self._daily[slot]
        away = value - usual if seen else 0.0
        share = max(1 / (seen + 1), _DAILY)
        self._daily[slot] = seen + 1, usual + share * (value - usual)
        self._smooth += max(_FAST, 1 / self._count) * (away - self._smooth)
        if now - self._begin < _DAY:
            self._level.distance(away, 0.0)
            return 0.0
        return self._level.distance(away, self._smooth)

    def _edge(self, score: float) -> float:
        recent = self._recent
        while recent and recent[0][0] <= self._count - _EPISODE:
            recent.popleft()
        worst = recent[0][1] if recent else 0.0
        while recent and recent[-1][1] <= score:
            recent.pop()
        recent.append((self._count, score))
        return score if score > worst else 0.0
