"""Everything that one worker, or all of a stage's, counted."""

from __future__ import annotations

from stagelight import _names
from stagelight._distribution import Distribution
from stagelight._history import NOTHING, Past, by_second, merged


class Totals(Distribution):
    """Everything that a stage counted, mergeable in any order.

    The distribution itself holds the successes; other outcomes are in ``failures``
    under (outcome, error type). ``apart`` is the part of the durations that nested
    stages spent, so that busy time = all durations - apart. ``attended`` is all
    observed time of ended threads that ran the stage, in whatever stage.
    """

    __slots__ = (
        "_drops",
        "_ends",
        "_failures",
        "_past",
        "apart",
        "attended",
        "blocked",
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
        # Most workers never need one. Who writes makes it, whoever reads beside it
        # must not.
        self._drops: dict[tuple[str, bool], int] | None = None
        self._failures: dict[tuple[str, str], Distribution] | None = None
        self._ends: dict[str, int] | None = None
        self._past: Past = NOTHING

    @property
    def drops(self) -> dict[tuple[str, bool], int]:
        """Dropped events by reason and whether that was intended; for the writer."""
        found = self._drops
        if found is None:
            found = self._drops = {}
        return found

    @property
    def failures(self) -> dict[tuple[str, str], Distribution]:
        """Calls by outcome other than success and error type; for the writer."""
        found = self._failures
        if found is None:
            found = self._failures = {}
        return found

    @property
    def ends(self) -> dict[str, int]:
        """Outcomes of generator runs, which consume once and produce per item."""
        found = self._ends
        if found is None:
            found = self._ends = {}
        return found

    @property
    def past(self) -> Past:
        """The per-second history, the running second included."""
        return self._past

    @property
    def history(self) -> dict[int, tuple[int, int]]:
        """Second on the monotonic clock -> (finished, errors) within it."""
        return by_second(self.past)

    @property
    def finished(self) -> int:
        """How many calls ended, whatever their outcome."""
        parts = self._failures
        if not parts:
            return self.count
        return self.count + sum(part.count for part in list(parts.values()))

    @property
    def errors(self) -> int:
        """How many calls ended in an error."""
        parts = self._failures
        if not parts:
            return 0
        return sum(
            part.count
            for (outcome, _), part in list(parts.items())
            if outcome in _names.ERRORS
        )

    def outcomes(self) -> dict[str, int]:
        """Finished calls by outcome; only those that occurred."""
        counts = {_names.SUCCESS: self.count} if self.count else {}
        for (outcome, _), part in list((self._failures or {}).items()):
            counts[outcome] = counts.get(outcome, 0) + part.count
        return counts

    @property
    def busy(self) -> int:
        """Own time of all finished calls in nanoseconds, nested stages excluded."""
        parts = self._failures
        if not parts:
            return self.sum - self.apart
        return self.sum + sum(part.sum for part in list(parts.values())) - self.apart

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
        if other._drops:
            for reason, number in list(other._drops.items()):
                self.drops[reason] = self.drops.get(reason, 0) + number
        if other._ends:
            for outcome, number in list(other._ends.items()):
                self.ends[outcome] = self.ends.get(outcome, 0) + number
        if other._failures:
            for key, part in list(other._failures.items()):
                self.failure(*key).merge(part)
        if history:
            self._past = merged(self._past, other.past)

    def failure(self, outcome: str, error_type: str) -> Distribution:
        """The distribution of one outcome other than success."""
        failures = self.failures
        part = failures.get((outcome, error_type))
        if part is None:
            part = failures[outcome, error_type] = Distribution()
        return part

    def settle(self) -> None:
        """Sort all samples into cells, for those who look at them several times."""
        self.fold()
        for part in (self._failures or {}).values():
            part.fold()
