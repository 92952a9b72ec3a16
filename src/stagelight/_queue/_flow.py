"""What every observed queue does on put, get, and while somebody waits."""

from __future__ import annotations

import contextlib
from collections import deque
from threading import get_ident
from time import perf_counter_ns as clock
from time import time_ns
from typing import TYPE_CHECKING, Final

from stagelight import _guard, _names, _sinks
from stagelight._journey import TaskTurn, Turn, enclosing, leave_turn
from stagelight._onward import origin
from stagelight._sinks import EventRecord
from stagelight._slots import NO_SLOT, PENDING, Slot, Worker
from stagelight._turns import fetched, fetched_by_task
from stagelight._workers import this_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stagelight._buffers import QueueRecord
    from stagelight._queue._mirror import Entry, Mirror

#: Those that have news: one look for each event, where there mostly are none.
NEWS: Final[list[Flow]] = []
#: Queues may go before somebody told their news.
_MOST: Final = 256


class Flow:
    """The record and the mirror of one queue.

    ``put`` and ``got`` run under the queue's own lock (or on its event loop), so they
    neither log nor wait: what is to be said is said by ``speak``, outside of it.
    """

    def __init__(self, record: QueueRecord, mirror: Mirror) -> None:
        self.record = record
        self.mirror = mirror
        #: Those of a first in, first out queue.
        self.entries: deque[Entry] = getattr(mirror, "entries", deque())
        self.news: list[str] = []
        #: Thread that empties the queue by shutting it down.
        self.drainer = 0
        #: Identity of the last exception that was counted as a refusal.
        self.counted = 0

    def adopt(self, items: Iterable[object]) -> None:
        """Note what was in the queue before it was observed; that is not enqueued."""
        now = clock()
        for item in list(items):
            self.mirror.push(item, now)

    def ask(
        self, size: Callable[[], int | None], capacity: Callable[[], int | None]
    ) -> None:
        """Let readers see a queue, which the record must not keep alive.

        Args:
            size: Its size, None when it is gone or cannot tell.
            capacity: Its bound, None without one.
        """
        record, oldest = self.record, self.mirror.oldest
        record.size = size
        record.capacity = capacity
        record.oldest = lambda: oldest(size())

    def put(self, item: object, size: int, slack: int = 0) -> None:
        """Note an event that went in.

        Args:
            item: The event.
            size: Size of the queue, this event included.
            slack: How many more carriers there may be, where size is an estimate.
        """
        try:
            mirror, record = self.mirror, self.record
            now = clock()
            begun = origin(this_worker(), item, record.name, now)
            entry: Entry = now if begun is now else (now, begun)
            mirror.push(item, entry)
            if mirror.count > size + slack:
                mirror.resize(size)
            record.enqueued += 1
            record.peak.now = max(record.peak.now, size)
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.noted("put", error)

    def got(self, item: object, *, task: bool = False) -> None:
        """Note an event that came out, for this worker's next stage call.

        Args:
            item: The event.
            task: Whether an asyncio task fetched it.
        """
        try:
            record = self.record
            entry = self.mirror.pop(item)
            if self.drainer and self.drainer == get_ident():
                return
            now = clock()
            if entry is None:
                entry = now
            at, begun = (entry, entry) if isinstance(entry, int) else entry
            record.dequeued += 1
            record.wait.record(now - at)
            kind: type[Turn] = TaskTurn if task else Turn
            turn = kind(id(item), begun, record.pipeline, record.name)
            turn.wait = now - at
            note = fetched_by_task if task else fetched
            note(this_worker(), turn)
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.noted("get", error)

    def refused(self, reason: str) -> None:
        """Count a put that the queue did not take."""
        self.record.refuse(reason)
        if reason == _names.QUEUE_FULL:
            self.now_full()

    def now_full(self) -> None:
        """Note that the queue became full: an edge, told once."""
        if not self.record.full:
            self.record.full = True
            self._note(_names.QUEUE_FULL_EVENT)

    def now_at(self, size: int) -> None:
        """Note that a full queue is down to half of its capacity again."""
        record = self.record
        capacity = record.capacity() or 0
        if record.full and size * 2 <= capacity:
            record.full = False
            self._note(_names.QUEUE_RECOVERED_EVENT)

    def _note(self, news: str) -> None:
        self.news.append(news)
        NEWS.append(self)
        if len(NEWS) > _MOST:
            del NEWS[0]

    def speak(self) -> None:
        """Announce the edges that were noted; never called under the queue's lock."""
        _guard.speak()
        while self in NEWS:
            with contextlib.suppress(ValueError):  # another thread did it
                NEWS.remove(self)
        while self.news:
            name = self.news.pop(0)
            if _sinks.EVENTS:
                record = self.record
                _sinks.announce(
                    EventRecord(
                        name=name,
                        pipeline=record.pipeline.name,
                        stage=None,
                        queue=record.name,
                        time_ns=time_ns(),
                    )
                )


def begin_wait_for_room(flow: Flow, worker: Worker) -> int:
    """Note that this thread waits in ``put``; returns the clock."""
    now = worker.blocking = clock()
    flow.now_full()
    flow.record.begin_block(worker, now)
    return now


def end_wait_for_room(flow: Flow, worker: Worker) -> None:
    """Charge a wait for room to the stage that this thread runs, or ran last."""
    worker.blocking = 0
    took = flow.record.end_block(worker, clock())
    slot = worker.slot
    if slot is NO_SLOT:
        return
    charge_blocked(slot, took)
    if slot.since:
        worker.away += took
        worker.pause += took
        worker.special = True


def charge_blocked(slot: Slot, took: int) -> None:
    """Add one wait for room to a stage's blocked time."""
    slot.blocked += took
    slot.stage.blocked_peak.note(took)


def begin_wait_for_event(worker: Worker) -> int:
    """Note that this thread waits in ``get``: what it had is done."""
    if worker.turn is not None and worker.turn.within is enclosing(worker):
        leave_turn(worker)
    now = worker.waiting = clock()
    return now


def end_wait_for_event(worker: Worker) -> None:
    """Keep the idle time for the stage that this thread runs next."""
    took = clock() - worker.waiting
    worker.waiting = 0
    slot = worker.slot
    if slot.since:
        slot.idle += took
        worker.away += took
        worker.special = True
    else:
        worker.idle += took
        worker.alert |= PENDING
