"""What a queue or pool counted."""

from __future__ import annotations

import threading
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from stagelight._distribution import Distribution
from stagelight._peak import Peak

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable

    from stagelight._registry import PipelineRecord


class QueueRecord:
    """One queue, or one pool's backlog.

    Its plain counters are written under the observed queue's own lock; ``lock`` guards
    what happens outside of it (refusals, blocked puts).
    """

    def __init__(self, pipeline: PipelineRecord, name: str) -> None:
        self.pipeline = pipeline
        self.name = name
        self.owner: weakref.ref[Any] | None = None
        self.lock = threading.RLock()
        self.size: Callable[[], int | None] = lambda: None
        self.capacity: Callable[[], int | None] = lambda: None
        self.oldest: Callable[[], int | None] = lambda: None
        self.full = False
        #: Whether it is a forked child's copy of the parent's, and may never move.
        self.inherited = False
        #: Observed without the program having asked for it, under a name we chose.
        self.automatic = False
        #: Whether other processes tell the size of the same queue.
        self.shared = False
        self.zero()

    def zero(self) -> None:
        """Forget what was counted."""
        self.enqueued = 0
        self.dequeued = 0
        self.refused: dict[str, int] = {}
        self.blocked = 0
        self.blocking: dict[object, int] = {}
        self.wait = Distribution()
        self.peak = Peak()
        self._blocked_floor = 0

    def enqueue(self) -> None:
        """Count a put that went by without the observed queue's own lock."""
        with self.lock:
            self.enqueued += 1

    def refuse(self, reason: str) -> None:
        """Count a put that the queue did not take."""
        with self.lock:
            self.refused[reason] = self.refused.get(reason, 0) + 1

    def begin_block(self, key: object, now: int) -> None:
        """Note that a producer started to wait for room."""
        with self.lock:
            self.blocking[key] = now

    def end_block(self, key: object, now: int) -> int:
        """Count a producer's wait for room; returns its length."""
        with self.lock:
            took = now - self.blocking.pop(key, now)
            self.blocked += took
            return took

    def blocked_time(self) -> int:
        """Time producers waited, open waits included; never goes back."""
        with self.lock:
            total = self.blocked
            if self.blocking:
                now = clock()
                total += sum([now - at for at in self.blocking.values()])
            self._blocked_floor = max(self._blocked_floor, total)
            return self._blocked_floor

    def oldest_age(self) -> float:
        """Seconds since the oldest event in the queue was put in."""
        at = self.oldest()
        return 0.0 if at is None else max(clock() - at, 0) / 1e9

    @property
    def dormant(self) -> bool:
        """Whether a forked child has it from its parent, and did not use it yet."""
        return self.inherited and not (self.enqueued or self.dequeued or self.refused)

    def after_fork(self) -> None:
        """Start from zero in a forked child."""
        self.lock = threading.RLock()
        self.zero()


class PoolRecord:
    """One executor: its backlog as a queue, and its workers."""

    def __init__(self, pipeline: PipelineRecord, name: str, kind: str) -> None:
        self.pipeline = pipeline
        self.name = name
        self.kind = kind
        self.backlog = QueueRecord(pipeline, name)
        self.limit = 0
        #: How many workers run something, where that is not seen from the counts.
        self.working: Callable[[], int] | None = None
        self.after_fork()

    def busy(self) -> int:
        """Tasks running now."""
        running = self.started - self.completed
        if self.working is not None:
            running = self.working()
        elif self.kind == "process":
            running = self.submitted - self.completed
        return max(min(running, self.limit or running), 0)

    def after_fork(self) -> None:
        """Start from zero in a forked child."""
        self.lock = threading.RLock()
        self.submitted = 0
        self.started = 0
        self.completed = 0
        self.backlog.after_fork()
