"""The last minutes of one series: what PromQL's range functions need, and no more.

Each window keeps at most about 120 samples, so that a rule over a day costs no more
memory than one over minutes. Up to half an hour at 15 seconds that is every sample.
"""

from __future__ import annotations

from array import array
from functools import cache
from itertools import accumulate
from math import nan
from typing import Final

_RESOLUTION: Final = 120
#: Longer windows, for rates alone, keep half as many.
_LONG: Final = 7200.0
#: Seconds after which Prometheus no longer takes a sample for the present value.
STALE: Final = 300.0
_TINY: Final = 1e-6


@cache
def _step(window: float) -> float:
    return window / (_RESOLUTION if window <= _LONG else _RESOLUTION / 2)


@cache
def _close(window: float) -> float:
    return window / _RESOLUTION


class Samples:
    """The samples of one window, for rates and slopes.

    Args:
        window: Its length in seconds.
    """

    __slots__ = (
        "_first",
        "_gaps",
        "_kept",
        "_step",
        "last",
        "last_at",
        "values",
        "window",
    )

    def __init__(self, window: float) -> None:
        self.window = window
        self._step = _step(window)
        self.values = array("d")
        #: When the first and the last value were, and how long it is from each to the
        #: next: that takes half the memory of the times.
        self._first = self._kept = nan
        self._gaps = array("f")
        self.last_at = self.last = nan

    def add(self, now: float, value: float) -> None:
        """Take the next sample.

        Args:
            now: Time in seconds.
            value: The value; a counter's with its restarts added up.
        """
        self.last_at, self.last = now, value
        if not self.values:
            self._first = self._kept = now
            self.values.append(value)
            return
        if now - self._kept >= self._step - _TINY:
            self._gaps.append(now - self._kept)
            # As it is kept, so that what is rounded does not add up.
            self._kept = self.last_at = self._kept + self._gaps[-1]
            self.values.append(value)
        self._forget(now)

    def _forget(self, now: float) -> None:
        oldest = now - self.window - _TINY
        while self._first < oldest:
            del self.values[0]
            if not self.values:
                self._first = nan
                return
            self._first += self._gaps.pop(0)

    def increase(self, now: float) -> float:
        """Growth over the window, extrapolated to its ends as Prometheus does it.

        Args:
            now: Time in seconds.
        """
        self._forget(now)
        values = self.values
        if not values or self.last_at <= self._first:
            return nan
        first = values[0]
        sampled = self.last_at - self._first
        growth = self.last - first
        mean = sampled / (len(values) - (self._kept == self.last_at))
        before, after = self._first - (now - self.window), now - self.last_at
        if growth > 0 and first >= 0:
            before = min(before, sampled * first / growth)
        near = mean * 1.1
        whole = sampled + (before if before < near else mean / 2)
        whole += after if after < near else mean / 2
        return growth * whole / sampled

    def rate(self, now: float) -> float:
        """Growth in a second.

        Args:
            now: Time in seconds.
        """
        return self.increase(now) / self.window

    def changes(self, now: float) -> float:
        """How often the value was another than before.

        Args:
            now: Time in seconds.
        """
        self._forget(now)
        values = self.values
        if not values:
            return nan
        first = values[0]
        if values.count(first) == len(values):
            return 0.0
        return float(
            sum(a != b for a, b in zip(values, values[1:], strict=False))  # noqa: RUF007 - 3.10 has no faster one
        )

    def mean(self, now: float) -> float:
        """The average of the samples.

        Args:
            now: Time in seconds.
        """
        self._forget(now)
        return sum(self.values) / len(self.values) if self.values else nan

    def line(self, now: float) -> tuple[float, float]:
        """Slope per second and value now of the line of least squares.

        Args:
            now: Time in seconds.
        """
        self._forget(now)
        values = self.values
        count = len(values)
        if count < 2:  # noqa: PLR2004 - a line needs two points
            return nan, nan
        first = values[0]
        if values.count(first) == count:
            return 0.0, first
        shifted = list(accumulate(self._gaps, initial=self._first - now))
        total_x, total_y = sum(shifted), sum(values)
        total_xy = sum([x * y for x, y in zip(shifted, values, strict=True)])
        total_xx = sum([x * x for x in shifted])
        spread = total_xx - total_x * total_x / count
        slope = (total_xy - total_x * total_y / count) / spread
        return slope, total_y / count - slope * total_x / count


class Extreme:
    """The smallest value of a window; of the negative values the largest.

    Args:
        window: Its length in seconds.
        sign: 1 for the smallest, -1 for the largest.
    """

    __slots__ = ("_at", "_step", "_values", "sign", "window")

    def __init__(self, window: float, sign: int = 1) -> None:
        self.window = window
        self.sign = sign
        self._step = _close(window)
        #: Values that rise with their times: the first is the smallest.
        self._at = array("d")
        self._values = array("d")

    def add(self, now: float, value: float) -> None:
        """Take the next sample.

        Args:
            now: Time in seconds.
            value: The value.
        """
        value *= self.sign
        at, values = self._at, self._values
        while values and values[-1] >= value:
            values.pop()
            at.pop()
        # A value that is only a little younger than a smaller one adds nothing.
        if not at or now - at[-1] >= self._step - _TINY:
            at.append(now)
            values.append(value)
        self._forget(now)

    def _forget(self, now: float) -> None:
        at, oldest = self._at, now - self.window - _TINY
        while at and at[0] < oldest:
            del at[0], self._values[0]

    def value(self, now: float) -> float:
        """The smallest (or largest) value.

        Args:
            now: Time in seconds.
        """
        self._forget(now)
        return self._values[0] * self.sign if self._values else nan


class Track:
    """One series: its present value, and the windows that look at it."""

    __slots__ = ("_base", "_raw", "at", "counter", "extremes", "last", "samples")

    def __init__(self, *, counter: bool = False) -> None:
        self.at = -STALE * 1e9
        self.last = nan
        self.counter = counter
        self._raw = self._base = 0.0
        self.samples: tuple[Samples, ...] = ()
        self.extremes: tuple[Extreme, ...] = ()

    def push(self, now: float, value: float) -> None:
        """Take the next sample.

        Args:
            now: Time in seconds, later than the one before.
            value: The value; a counter that falls has started anew.
        """
        self.at = now
        self.last = value
        if self.counter:
            if value < self._raw:
                self._base += self._raw
            self._raw = value
            value += self._base
        for samples in self.samples:
            samples.add(now, value)
        for extreme in self.extremes:
            extreme.add(now, value)

    def over(self, window: float) -> Samples:
        """The samples of a window, kept from now on.

        Args:
            window: Seconds.
        """
        for one in self.samples:
            if one.window == window:
                return one
        self.samples = (*self.samples, Samples(window))
        return self.samples[-1]

    def extreme(self, window: float, sign: int) -> Extreme:
        """The smallest or largest value of a window, kept from now on.

        Args:
            window: Seconds.
            sign: 1 for the smallest, -1 for the largest.
        """
        for one in self.extremes:
            if (one.window, one.sign) == (window, sign):
                return one
        self.extremes = (*self.extremes, Extreme(window, sign))
        return self.extremes[-1]
