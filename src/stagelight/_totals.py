"""Everything that one worker, or all of a stage's, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stagelight import _names
from stagelight._distribution import Distribution

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        self.drops: dict[tuple[str, bool], int] = {}
        self.failures: dict[tuple[str, str], Distribution] = {}
        #: Outcomes of generator runs, which consume once and produce per item.
        self.ends: dict[str, int] = {}
        #: Second on the monotonic clock -> (finished, errors) within it.
        self.history: dict[int, tuple[int, int]] = {}

    @property
    def finished(self) -> int:
        """How many calls ended, whatever their outcome."""
        if not self.failures:
            return self.count
        return self.count + sum(part.count for part in list(self.failures.values()))

    @property
    def errors(self) -> int:
        """How many calls ended in an error."""
        if not self.failures:
            return 0
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

    def error_types(self) -> dict[str, int]:
        """Calls that ended in an error by their ``error.type``."""
        counts: dict[str, int] = {}
        for (outcome, error_type), part in list(self.failures.items()):
            if outcome in _names.ERRORS:
                counts[error_type] = counts.get(error_type, 0) + part.count
        return counts

    def dropped(self) -> dict[str, int]:
        """Discarded events by reason."""
        counts: dict[str, int] = {}
        for (reason, _), number in list(self.drops.items()):
            counts[reason] = counts.get(reason, 0) + number
        return counts

    def whole(self) -> Distribution:
        """All samples, whatever their outcome."""
        whole = self.settled()
        for part in list(self.failures.values()):
            whole.merge(part)
        return whole

    @property
    def busy(self) -> int:
        """Own time of all finished calls in nanoseconds, nested stages excluded."""
        if not self.failures:
            return self.sum - self.apart
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
        if other.drops:
            for reason, number in list(other.drops.items()):
                self.drops[reason] = self.drops.get(reason, 0) + number
        if other.ends:
            for outcome, number in list(other.ends.items()):
                self.ends[outcome] = self.ends.get(outcome, 0) + number
        if other.failures:
            for key, part in list(other.failures.items()):
                self.failure(*key).merge(part)
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

    def recent(self) -> tuple[Sequence[int], Sequence[int]]:
        """Seconds on the monotonic clock, ascending, and what finished in each."""
        seconds = sorted(self.history)
        return seconds, [self.history[second][0] for second in seconds]
