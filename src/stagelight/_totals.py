"""Everything that one worker, or all of a stage's, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stagelight import _names
from stagelight._detailed import Extra
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
        "_drops",
        "_ends",
        "_failures",
        "_history",
        "apart",
        "attended",
        "blocked",
        "extra",
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
        # Most workers never need one. Who writes makes it, whoever reads beside it
        # must not.
        self._drops: dict[tuple[str, bool], int] | None = None
        self._failures: dict[tuple[str, str], Distribution] | None = None
        self._ends: dict[str, int] | None = None
        self._history: dict[int, tuple[int, int]] | None = None

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
    def history(self) -> dict[int, tuple[int, int]]:
        """Second on the monotonic clock -> (finished, errors) within it."""
        found = self._history
        if found is None:
            found = self._history = {}
        return found

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

    def error_types(self) -> dict[str, int]:
        """Calls that ended in an error by their ``error.type``."""
        counts: dict[str, int] = {}
        for (outcome, error_type), part in list((self._failures or {}).items()):
            if outcome in _names.ERRORS:
                counts[error_type] = counts.get(error_type, 0) + part.count
        return counts

    def dropped(self) -> dict[str, int]:
        """Discarded events by reason."""
        counts: dict[str, int] = {}
        for (reason, _), number in list((self._drops or {}).items()):
            counts[reason] = counts.get(reason, 0) + number
        return counts

    def whole(self) -> Distribution:
        """All samples, whatever their outcome."""
        whole = self.settled()
        for part in list((self._failures or {}).values()):
            whole.merge(part)
        return whole

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
        self._absorb_rare(other)
        if not history:
            return
        for second, (finished, errors) in other.seconds().items():
            before = self.history.get(second, (0, 0))
            self.history[second] = (before[0] + finished, before[1] + errors)
        while len(self.history) > HISTORY:
            del self.history[min(self.history)]

    def _absorb_rare(self, other: Totals) -> None:
        if other._drops:
            for reason, number in list(other._drops.items()):
                self.drops[reason] = self.drops.get(reason, 0) + number
        if other._ends:
            for outcome, number in list(other._ends.items()):
                self.ends[outcome] = self.ends.get(outcome, 0) + number
        if other._failures:
            for key, part in list(other._failures.items()):
                self.failure(*key).merge(part)
        if other.extra is not None:
            if self.extra is None:
                self.extra = Extra()
            self.extra.absorb(other.extra)

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

    def seconds(self) -> dict[int, tuple[int, int]]:
        """The per-second history, the running second included."""
        return dict(self._history or {})

    def recent(self) -> tuple[Sequence[int], Sequence[int]]:
        """Seconds on the monotonic clock, ascending, and what finished in each."""
        history = self._history or {}
        seconds = sorted(history)
        return seconds, [history[second][0] for second in seconds]
