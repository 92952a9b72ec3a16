"""The calls that a ``multiprocessing`` pool was given: what waits, what is done."""

from __future__ import annotations

import os
import weakref
from itertools import count
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from stagelight import _guard, _names
from stagelight._journey import FAN_OUT, Journey
from stagelight._pool._sample import sample

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context

    from stagelight._buffers import PoolRecord
    from stagelight._records import StageRecord

#: State of a pool that has dropped whatever waited.
_TERMINATED = "TERMINATE"


class Origin:
    """Where the calls of one ``apply``, ``map`` or ``imap`` come from.

    Args:
        journey: The journey that was carried to the pool.
    """

    __slots__ = ("_carried", "_journey", "submitted")

    def __init__(self, journey: Journey) -> None:
        self._journey = journey
        self._carried = journey.forwards > 0
        self.submitted = clock()

    def journey(self, calls: int = 1) -> Journey:
        """The journey of the next calls: their own, unless they continue one.

        Args:
            calls: How many there are.
        """
        known = self._journey
        if self._carried and known.forwards <= FAN_OUT:
            known.forwards += calls
            return known
        if not self._carried and known.context is not None:
            return known  # a span of the user's own
        return Journey(self.submitted, None, known.ambient)


class Task:
    """One task: a call, or a chunk of calls.

    Attributes:
        job: The pool's number for what it belongs to, None until it has one.
        events: First argument of each call.
        left: Calls that have not started.
        context: Creation context of their journey, as far as it is known here.
    """

    __slots__ = ("context", "events", "job", "key", "left", "make_stage", "owner")

    def __init__(
        self,
        owner: Calls,
        key: int,
        job: int | None,
        make_stage: Callable[[], StageRecord] | None,
        events: Sequence[Any],
    ) -> None:
        self.owner = owner
        self.key = key
        self.job = job
        self.context: Context | None = None
        self.make_stage = make_stage
        self.events = events
        self.left = len(events)

    def arrived(self, times: array[int], error: BaseException | None) -> None:
        """Record what came back from a worker process."""
        submitted = self.owner.done(self, times)
        if submitted is None or self.make_stage is None:
            return
        stage, last = self.make_stage(), len(times) - 2
        name, context = self.owner.record.name, self.context
        for at in range(0, len(times), 2):
            problem = error if at == last else None
            event = self.events[at // 2] if problem is not None else None
            sample(stage, times[at + 1] - times[at], problem, event, name, context)
        if error is not None and not times:
            sample(stage, 0, error, self.events[0], name, context)


class Calls:
    """What one pool has been given; stands in for a backlog.

    Args:
        record: Where it is recorded.
        pool: The pool.
    """

    def __init__(self, record: PoolRecord, pool: Any) -> None:
        self.record = record
        self._pool = weakref.ref(pool)
        self._pid = os.getpid()
        #: Job -> clock at its submit, and how many of its calls are in no task yet.
        self._jobs: dict[int, list[int]] = {}
        self._tasks: dict[int, tuple[Task, int]] = {}
        self._waiting = 0
        #: Tasks that run where they are submitted: there are none here.
        self.submitting: dict[int, int] = {}
        self.numbers = count(1)
        queue = record.backlog
        queue.size = self.size
        queue.oldest = self.oldest
        if record.kind == "process":
            record.working = self._working

    def expect(self, job: int, calls: int, submitted: int) -> None:
        """Note calls that will come in chunks.

        Args:
            job: The pool's number for them.
            calls: How many there are.
            submitted: Clock at the submit.
        """
        with self.record.lock:
            self._jobs[job] = [submitted, calls]
            self._enter(calls, 1)

    def add(self, task: Task, submitted: int) -> None:
        """Note a task that is given to the pool.

        Args:
            task: The task.
            submitted: Clock at the submit.
        """
        calls = task.left
        with self.record.lock:
            self._tasks[task.key] = task, submitted
            known = self._jobs.get(-1 if task.job is None else task.job)
            if known is None:
                self._enter(calls, calls)
                return
            known[1] -= calls
            if known[1] <= 0 and task.job is not None:
                del self._jobs[task.job]

    def _enter(self, calls: int, chunk: int) -> None:
        record = self.record
        self._waiting += calls
        record.submitted += calls
        record.backlog.enqueued += calls
        at_work = record.limit * chunk if record.kind == "process" else 0
        record.backlog.peak.note(max(self._waiting - at_work, 0))

    def start(self, key: int) -> int:
        """Note that a call started in this process; returns how long it had waited."""
        now, record = clock(), self.record
        with record.lock:
            record.started += 1
            entry = self._tasks.get(key)
            if entry is None:
                return 0  # given up meanwhile, as the pool was terminated
            task, submitted = entry
            task.left -= 1
            self._waiting -= 1
            record.backlog.dequeued += 1
            record.backlog.wait.record(now - submitted)
        return now - submitted

    def end(self) -> None:
        """Note that a call that had started ended."""
        with self.record.lock:
            self.record.completed += 1

    def done(self, task: Task, times: array[int]) -> int | None:
        """Note that a task is done; returns the clock at its submit.

        Args:
            task: The task.
            times: Clocks at start and end of the calls that a worker process made.
        """
        record = self.record
        with record.lock:
            entry = self._tasks.pop(task.key, None)
            if entry is None:
                return None
            ran = len(times) // 2
            for start in times[::2]:
                record.backlog.wait.record(max(start - entry[1], 0))
            record.started += ran
            record.completed += ran
            record.backlog.dequeued += ran
            self._waiting -= ran
            self._leave(task.left - ran)
        return entry[1]

    def withdraw(self, key: int) -> None:
        """Note that the calls of a task that have not started never will."""
        with self.record.lock:
            entry = self._tasks.pop(key, None)
            if entry is not None:
                self._leave(entry[0].left)

    def refuse(self, key: int) -> None:
        """Note that the pool did not take a task."""
        record = self.record
        with record.lock:
            entry = self._tasks.pop(key, None)
            if entry is not None:
                self._leave(entry[0].left)
                record.backlog.enqueued -= entry[0].left
                record.backlog.dequeued -= entry[0].left
        record.backlog.refuse(_names.QUEUE_CLOSED)

    def _leave(self, calls: int) -> None:
        self._waiting -= calls
        self.record.submitted -= calls
        self.record.backlog.dequeued += calls

    def _sweep(self) -> None:
        """Drop what the pool has dropped: it was terminated, or did not pickle."""
        pool = self._pool()
        alive = pool is not None and getattr(pool, "_state", "") != _TERMINATED
        jobs = getattr(pool, "_cache", {}) if alive else {}
        for key, (task, _) in list(self._tasks.items()):
            if not alive or (task.job is not None and task.job not in jobs):
                if self.record.kind == "thread" and task.left < len(task.events):
                    continue  # it runs, and tells of its end itself
                self.withdraw(key)
        for job in [job for job in self._jobs if job not in jobs]:
            self._leave(self._jobs.pop(job)[1])

    def _stamps(self) -> list[tuple[int, int]]:
        """Clock at the submit of what waits, and how many calls that is."""
        if self._pid != os.getpid():
            return []  # a forked child has none of them
        with self.record.lock:
            try:
                self._sweep()
            except Exception as error:  # noqa: BLE001 - never into the reader
                _guard.caught("pool", error)
            tasks = list(self._tasks.values())
            if self.record.kind == "process":
                tasks = tasks[self.record.limit :]
            found = [(submitted, task.left) for task, submitted in tasks if task.left]
            return found + [(at, calls) for at, calls in self._jobs.values()]

    def size(self) -> int:
        """How many calls wait."""
        return sum(calls for _, calls in self._stamps())

    def oldest(self) -> int | None:
        """Clock at the submit of the oldest call that waits."""
        return min((submitted for submitted, _ in self._stamps()), default=None)

    def _working(self) -> int:
        """How many workers run a task."""
        self._stamps()
        return len(self._tasks)
