"""Per-worker accumulators: the one place where a stage call is written down.

A slot belongs to one thread and one stage, so it is written without a lock and read by
everyone. When its thread ends it is folded into the stage's retired totals.
"""

from __future__ import annotations

import os
import threading
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Final

from stagelight import _names
from stagelight._cells import NANOSECONDS
from stagelight._distribution import BATCH, Distribution

if TYPE_CHECKING:
    from stagelight._frames import Frame
    from stagelight._journey import Turn
    from stagelight._records import StageRecord
    from stagelight._runs import Run

#: Seconds of per-second history kept for the rates in ``stats()``.
HISTORY: Final = 64
#: Nanoseconds between two looks of a slot at its buffer: at the rate of the last
#: period that would be one batch.
_SOON: Final = 20_000
_LATE: Final = 5_000_000

#: Bits of ``Worker.alert``: why the next call must take the full path.
TRACING: Final = 1
PENDING: Final = 2
FALLBACK: Final = 4


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

    def absorb(self, other: Totals) -> None:
        """Add everything that another worker counted."""
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


class Slot(Totals):
    """What one thread counted for one stage, and what it is doing there now.

    Attributes:
        roll: Clock from which on the next call must ``turn_over`` first.
        since: Clock at the start of the open call, 0 while there is none.
        depth: Further open calls of the same stage in this thread (recursion).
        open: Coroutine calls begun here and not ended: key -> start.
    """

    __slots__ = (
        "depth",
        "marked",
        "open",
        "roll",
        "second",
        "since",
        "stage",
        "turned",
        "worker",
    )

    def __init__(self, stage: StageRecord, worker: Worker) -> None:
        super().__init__()
        self.stage = stage
        self.worker = worker
        self.since = 0
        self.depth = 0
        self.open: dict[object, int] = {}
        self.roll = 0
        self.turned = 0
        self.second = 0
        self.marked = (0, 0)

    def turn_over(self, now: int) -> None:
        """Fold the buffer, and begin a new second of history where there is one.

        Called before the call at hand counts.
        """
        number = self.fold()
        second = now // NANOSECONDS
        if second != self.second:
            if self.second:
                self.history = self.seconds()
                if len(self.history) > HISTORY:
                    del self.history[min(self.history)]
            self.second = second
            self.marked = (self.finished, self.errors)
        # At the present rate the buffer is full then; a burst is noticed soon enough.
        pace = (now - self.turned) * BATCH // (number or 1)
        self.turned = after = clock()
        self.roll = min(
            after + min(max(pace, _SOON), _LATE), (second + 1) * NANOSECONDS
        )

    def seconds(self) -> dict[int, tuple[int, int]]:
        """The per-second history, the running second included."""
        history = dict(self.history)
        if self.second:
            finished, errors = self.marked
            history[self.second] = (self.finished - finished, self.errors - errors)
        return history

    def zero(self) -> None:
        """Forget what was counted; what is open stays open."""
        Totals.__init__(self)
        self.marked = (0, 0)

    def clear(self) -> None:
        """Start from zero, as a forked child does."""
        self.__init__(self.stage, self.worker)  # type: ignore[misc]


class Worker:
    """One thread as the record path sees it: what it runs, waits for and carries.

    Attributes:
        slot: The stage running now (``slot.since`` is set), else the last one.
        alert: Not 0 where the next call must take the full path (see the bits above).
        special: Set where the open call must not be finished on the fast path.
        away: Time of the open call spent in nested stages or blocked.
        pause: Time of the open call spent blocked, nested calls included.
        dropped: Reason and intent, where the open call discarded its event.
        frame: The innermost open call on the full path.
        run: The coroutine or generator run whose step is executing.
        turn: What the thread is doing with the event it fetched last.
        pending: Fetched events that no stage took yet.
        recent: Events fetched by asyncio tasks, by identity.
        idle: Time waited in ``get`` that the next stage will be charged with.
        waiting: Clock since when it waits in ``get``, else 0.
        blocking: Clock since when it waits in ``put``, else 0.
        logged: Identity of the exception that was reported already.
    """

    __slots__ = (
        "alert",
        "away",
        "blocking",
        "dropped",
        "frame",
        "idle",
        "logged",
        "pause",
        "pending",
        "pid",
        "recent",
        "run",
        "slot",
        "slots",
        "special",
        "thread",
        "turn",
        "waiting",
    )

    def __init__(self, alert: int = 0) -> None:
        self.pid = os.getpid()
        self.thread = threading.get_ident()
        self.slots: list[Slot] = []
        self.reset(alert)

    def reset(self, alert: int) -> None:
        """Forget what is open, as a forked child does."""
        self.slot: Slot = NO_SLOT
        self.alert = alert
        self.special = False
        self.away = 0
        self.pause = 0
        self.dropped: tuple[str, bool] | None = None
        self.frame: Frame | None = None
        self.run: Run | None = None
        self.turn: Turn | None = None
        self.pending: list[Turn] = []
        self.recent: dict[int, Turn] = {}
        self.idle = 0
        self.waiting = 0
        self.blocking = 0
        self.logged = 0

    def observed(self) -> int:
        """All time of this thread that its stages account for, in nanoseconds."""
        return self.idle + sum(
            slot.busy + slot.idle + slot.blocked
            for slot in list(self.slots)
            if slot.stage.timed
        )


NO_SLOT: Final[Slot] = Slot.__new__(Slot)
NO_SLOT.since = 0
