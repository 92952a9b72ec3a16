"""Per-worker accumulators: the one place where a stage call is written down.

A slot belongs to one thread and one stage, so it is written without a lock and read by
everyone. When its thread ends it is folded into the stage's retired totals.
"""

from __future__ import annotations

import os
import threading
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Final

from stagelight import _guard
from stagelight._cells import NANOSECONDS, subtract, unpack
from stagelight._distribution import BATCH, NEVER
from stagelight._extension import NATIVE
from stagelight._folding import value_at
from stagelight._seconds import before, new_ring, note
from stagelight._totals import HISTORY, Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stagelight._deferred import Deferred
    from stagelight._frames import Frame
    from stagelight._journey import Journey, Turn
    from stagelight._producers import Search
    from stagelight._quiet import Quiet
    from stagelight._records import StageRecord
    from stagelight._runs import Run
    from stagelight._toll import Toll

#: Nanoseconds between two looks of a slot at its buffer: at the last period's rate one
#: batch. A burst must not fill too much until then; in C each call looks.
_SOON: Final = 20_000
_LATE: Final = 8_000_000 if NATIVE is None else 50_000_000
#: Samples that are not worth a fold: a reader sorts them with those of other workers.
_FEW: Final = 32 if NATIVE is None else 16

#: A call is slow that takes so many times the p99 of the calls of the last so many
#: seconds, if there are so many, and at least so many nanoseconds.
_SLOWER: Final = 2
_RECENT: Final = 60
_ENOUGH: Final = 500
_SLOW: Final = 1_000_000

#: Bits of ``Worker.alert``: why the next call must take the full path.
TRACING: Final = 1
PENDING: Final = 2
FALLBACK: Final = 4
TAP: Final = 8
RETIRED: Final = 16
DETAILED: Final = 32
ENTRY: Final = 64

#: Told when a slot has turned over, with the clock before it did.
ON_TURN: Final[list[Callable[[Slot, int], None]]] = []

#: What a thread did lightly: what came before, slot, identity of the result, span if
#: somebody looked at it, clock at the start and end.
Trail = tuple["Trail | None", "Slot", int, "Deferred | None", int, int]


class Slot(Totals):
    """What one thread counted for one stage, and what it is doing there now.

    Attributes:
        ring: Finished calls of the last seconds, each at its second's place.
        wrongs: Errors of the same seconds, None while there was none.
        roll: Clock from which on the next call must ``turn_over`` first.
        since: Clock at the start of the open call, 0 while there is none.
        depth: Further open calls of the same stage in this thread (recursion).
        turn: The fetched event that an open light call is about.
        slow: Nanoseconds from which on a call is slower than its like.
    """

    __slots__ = (
        "_open",
        "before",
        "depth",
        "known",
        "learned",
        "marked",
        "marred",
        "ring",
        "roll",
        "second",
        "since",
        "slow",
        "stage",
        "turn",
        "turned",
        "worker",
        "wrongs",
    )

    def __init__(self, stage: StageRecord, worker: Worker) -> None:
        super().__init__()
        self.stage = stage
        self.worker = worker
        self.since = 0
        self.depth = 0
        self._open: dict[object, int] | None = None
        self.roll = 0
        self.turn: Turn | None = None
        self.turned = 0
        self.slow = NEVER
        self.second = 0
        self._forget()

    def _forget(self) -> None:
        # Cells, number of samples and second of what is not recent any more.
        self.before = self.known = self.learned = 0
        # Finished calls and errors at the begin of the second.
        self.marked = self.marred = 0
        self.ring: bytearray | None = None
        self.wrongs: bytearray | None = None

    @property
    def open(self) -> dict[object, int]:
        """Coroutine calls begun here and not ended, key to start; for the writer."""
        found = self._open
        if found is None:
            found = self._open = {}
        return found

    @property
    def opened(self) -> list[int]:
        """When the coroutine calls that are open now began."""
        found = self._open
        return list(found.values()) if found else []

    def turn_over(self, now: int) -> None:
        """Fold the buffer, and begin a new second of history where there is one.

        Called before the call at hand counts.
        """
        try:
            due = (self.second + 1) * NANOSECONDS
            if now < due and len(self._buffer) < _FEW:
                # A slow stage: all that folding takes would be for a few samples.
                self.roll = min(now + _LATE, due)
            else:
                self._turn_over(now)
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("slot", error)

    def _turn_over(self, now: int) -> None:
        number = len(self._buffer)
        if number >= _FEW:
            self.fold()
        second = now // NANOSECONDS
        if second != self.second:
            if self.second:
                self._note(self.second, second)
            self.second = second
            self.marked, self.marred = self.finished, self.errors
            self._learn(second)
        # At the present rate the buffer is full then; a burst is noticed soon enough.
        pace = (now - self.turned) * BATCH // (number or 1)
        self.turned = after = clock()
        self.roll = min(
            after + min(max(pace, _SOON), _LATE), (second + 1) * NANOSECONDS
        )
        for tell in ON_TURN:
            tell(self, now)

    def _note(self, second: int, following: int) -> None:
        """Keep what the second that is over counted."""
        errors = self.errors - self.marred
        if self.ring is None:
            self.ring = new_ring()
        if self.wrongs is None and errors:
            self.wrongs = new_ring()
        note(self.ring, second, self.finished - self.marked, following)
        if self.wrongs is not None:
            note(self.wrongs, second, errors, following)

    def _learn(self, second: int) -> None:
        """Find from which duration on a call is slow, by the last minute or two."""
        packed, number, _, top, bottom, _ = self._state
        count = number - self.known
        if count < _ENOUGH:
            return
        recent = unpack(subtract(packed, self.before)[0])
        p99 = value_at(0.99 * count, recent, top, bottom)
        self.slow = max(int(p99 * NANOSECONDS * _SLOWER), _SLOW)
        if second - self.learned >= _RECENT:
            self.before, self.known, self.learned = packed, number, second

    def seconds(self) -> dict[int, tuple[int, int]]:
        """The per-second history, the running second included."""
        now = self.second
        if not now:
            return {}
        ago = range(now - HISTORY + 1, now)
        past = zip(ago, before(self.ring, now), before(self.wrongs, now), strict=True)
        history = {
            second: (finished, errors) for second, finished, errors in past if finished
        }
        history[now] = self.finished - self.marked, self.errors - self.marred
        return history

    def recent(self) -> tuple[Sequence[int], Sequence[int]]:
        """Seconds on the monotonic clock, ascending, and what finished in each."""
        now = self.second
        if not now:
            return (), ()
        finished = max(self.finished - self.marked, 0)
        return range(now - HISTORY + 1, now + 1), [*before(self.ring, now), finished]

    def zero(self) -> None:
        """Forget what was counted; what is open stays open."""
        Totals.__init__(self)
        self._forget()

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
        attempts: Retries noted in an open call on the short path.
        cpu: Processor time of the thread when it was last charged to a call, or 0.
        quiet: Context of the light calls, None until there may be one.
        toll: What recording costs the thread.
        search: For who feeds the queues of its tasks, None while there is none.
        trail: What the thread did lightly and nobody needed a turn of.
        journey: Journey of the trail and the light call, where one was needed.
    """

    __slots__ = (
        "alert",
        "attempts",
        "away",
        "blocking",
        "cpu",
        "dropped",
        "frame",
        "idle",
        "journey",
        "logged",
        "pause",
        "pending",
        "pid",
        "quiet",
        "recent",
        "run",
        "search",
        "slot",
        "slots",
        "special",
        "thread",
        "toll",
        "trail",
        "turn",
        "waiting",
    )

    def __init__(self, alert: int = 0) -> None:
        self.pid = os.getpid()
        self.thread = threading.get_ident()
        self.slots: list[Slot] = []
        self.toll: Toll | None = None
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
        self.attempts = 0
        self.cpu = 0
        self.quiet: Quiet | None = None
        self.trail: Trail | None = None
        self.journey: Journey | None = None
        self.search: Search | None = None

    def observed(self) -> int:
        """All time of this thread that its stages account for, in nanoseconds."""
        return self.idle + sum(
            slot.busy + slot.idle + slot.blocked
            for slot in list(self.slots)
            if slot.stage.timed
        )


NO_SLOT: Final[Slot] = Slot.__new__(Slot)
NO_SLOT.since = 0
