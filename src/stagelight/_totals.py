"""Everything that one worker, or all of a stage's, counted."""

from __future__ import annotations

from typing import Final

from stagelight import _names
from stagelight._detailed import Extra
from stagelight._distribution import Distribution

#: Seconds of per-second history kept for the rates in ``stats()``.
HISTORY: Final = 64


class Totals(Distribution):
    """Everything that a stage counted, mergeable in any order.

    The distribution itself holds the successes; other outcomes are in ``failures``
    under (outcome, error type). ``apart`` is the part of the durations that nested
    stages spent, so that busy time = all durations - apart. ``attended`` is all
    observed time of ended threads that ran the stage, in whatever stage.
    """

    __slots__ = (
        "apart",
        "attended",
        "blocked",
        "drops",
        "ends",
        "extra",
        "failures",
        "history",
        "idle",
        "produced",
        "retries",
    )

    def __init__(self) -> None:
        super().__init__()
        self.produced = 0
        self.apart = 0
        self.attended = 0
        self.idle = 0
        self.blocked = 0
        self.retries = 0
        #: What the level detailed measured, None before it did.
        self.extra: Extra | None = None
        self.drops: dict[tuple[str, bool], int] = {}
        self.failures: dict[tuple[str, str], Distribution] = {}
        #: Outcomes of generator runs, which consume once and produce per item.
        self.ends: dict[str, int] = {}
        #: Second on the monotonic clock -> (finished, errors) within it.
        self.history: dict[int, tuple[int, int]] = {}

    @property
    def finished(self) -> int:
        """How many calls ended, whatever their outcome."""
        return self.count + sum(part.count for part in list(self.failures.values()))

    @property
    def errors(self) -> int:
        """How many calls ended in an error."""
        return sum(
            part.count
            for (outcome, _), part in list(self.failures.items())
            if outcome in _names.ERRORS
        )

    def outcomes(self) -> dict[str, int]:
        """Finished calls by outcome; only those that occurred."""
        counts = {_names.SUCCESS: self.count} if self.count else {}
        for (outcome, _), part in list(self.failures.items()):
            counts[outcome] = counts.get(outcome, 0) + part.count
        return counts

    @property
    def busy(self) -> int:
        """Own time of all finished calls in nanoseconds, nested stages excluded."""
        parts = sum(part.sum for part in list(self.failures.values()))
        return self.sum + parts - self.apart

    def absorb(self, other: Totals, *, history: bool = True) -> None:
        """Add everything that another worker counted.

        Args:
            other: What it counted.
            history: Whether to add the per-second history too.
        """
        self.merge(other)
        self.produced += other.produced
        self.apart += other.apart
        self.attended += other.attended
        self.idle += other.idle
        self.blocked += other.blocked
        self.retries += other.retries
        for reason, number in list(other.drops.items()):
            self.drops[reason] = self.drops.get(reason, 0) + number
        for outcome, number in list(other.ends.items()):
            self.ends[outcome] = self.ends.get(outcome, 0) + number
        for key, part in list(other.failures.items()):
            self.failure(*key).merge(part)
        if other.extra is not None:
            if self.extra is None:
                self.extra = Extra()
            self.extra.absorb(other.extra)
        if not history:
            return
        for second, (finished, errors) in other.seconds().items():
            before = self.history.get(second, (0, 0))
            self.history[second] = (before[0] + finished, before[1] + errors)
        while len(self.history) > HISTORY:
            del self.history[min(self.history)]

    def failure(self, outcome: str, error_type: str) -> Distribution:
        """The distribution of one outcome other than success."""
        part = self.failures.get((outcome, error_type))
        if part is None:
            part = self.failures[outcome, error_type] = Distribution()
        return part

    def seconds(self) -> dict[int, tuple[int, int]]:
        """The per-second history, the running second included."""
        return dict(self.history)
