"""Observe a thread pool: each task is a turn of the worker that runs it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from itertools import count
from threading import get_ident
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from stagelight import _guard, _names
from stagelight._aside import step_aside
from stagelight._automatic import plain
from stagelight._call import MARK, compile_wrapper
from stagelight._journey import Journey, Turn, leave_turn
from stagelight._onward import carry
from stagelight._trail import settle
from stagelight._turns import fetched
from stagelight._twin import become_twin
from stagelight._workers import this_worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

    from stagelight._buffers import PoolRecord
    from stagelight._records import StageRecord


def is_observed(function: Any) -> bool:
    """Whether a callable records its own calls already."""
    while isinstance(function, partial):
        function = function.func
    return hasattr(function, MARK) or plain(function) is not function


class Backlog:
    """Tasks that were submitted and did not start: number -> clock at the submit."""

    def __init__(self, record: PoolRecord) -> None:
        self.record = record
        self.waiting: dict[int, int] = {}
        self._pid = os.getpid()
        #: Tasks whose submit has not returned, and by which thread.
        self.submitting: dict[int, int] = {}
        self._numbers = count(1)
        queue = record.backlog
        queue.size = self.size
        queue.oldest = self.oldest

    def stamps(self) -> list[int]:
        """Clocks at the submit of those that wait; a forked child has none of them."""
        return list(self.waiting.values()) if self._pid == os.getpid() else []

    def size(self) -> int:
        """How many tasks wait."""
        return len(self.waiting) if self._pid == os.getpid() else 0

    def oldest(self) -> int | None:
        """Clock at the submit of the oldest task that waits."""
        return next(iter(self.stamps()), None)

    def add(self) -> int:
        """Note a task that is being submitted; returns its number."""
        number = next(self._numbers)
        record = self.record
        with record.lock:
            self.waiting[number] = clock()
            record.submitted += 1
            record.backlog.enqueued += 1
            record.backlog.peak.note(self.size())
        return number

    def start(self, number: int) -> int:
        """Note that a task started; returns how long it had waited."""
        now = clock()
        record = self.record
        with record.lock:
            wait = now - self.waiting.pop(number, now)
            record.started += 1
            record.backlog.dequeued += 1
            record.backlog.wait.record(wait)
        return wait

    def end(self) -> None:
        """Note that a task that had started ended."""
        with self.record.lock:
            self.record.completed += 1

    def withdraw(self, number: int) -> None:
        """Note that a task ended before it started."""
        with self.record.lock:
            if self.waiting.pop(number, None) is not None:
                self.record.submitted -= 1
                self.record.backlog.dequeued += 1

    def refuse(self, number: int) -> None:
        """Note that the executor did not take a task."""
        with self.record.lock:
            if self.waiting.pop(number, None) is not None:
                self.record.submitted -= 1
                self.record.backlog.enqueued -= 1
        self.record.backlog.refuse(_names.QUEUE_CLOSED)


@dataclass(frozen=True)
class PoolState:
    """What the hooks of one executor write to."""

    backlog: Any
    stage: Callable[[], StageRecord]


def observe(
    executor: Executor, record: PoolRecord, make_stage: Callable[[], StageRecord]
) -> None:
    """Hook one executor.

    Args:
        executor: The executor.
        record: Where it is recorded.
        make_stage: Makes the stage of tasks that are no stage themselves.
    """
    made: list[Callable[..., Any]] = []

    def call() -> Any:
        if not made:
            made.append(compile_wrapper(make_stage(), invoke))
        return made[0]

    become_twin(executor, PoolState(Backlog(record), call), _hooks)
    record.limit = int(getattr(executor, "_max_workers", 0) or 0)


def _hooks(kind: Any) -> dict[str, Any]:
    outer_submit = kind.submit

    def submit(
        self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        state = self.__stagelight__
        backlog = state.backlog
        journey = carry(this_worker(), args[0] if args else fn, backlog.record.name)
        target = fn
        if not is_observed(fn):
            target = partial(state.stage(), args[0] if args else None, fn)
        number = backlog.add()
        backlog.submitting[number] = get_ident()
        try:
            future: Future[Any] = outer_submit(
                self, run_turn, backlog, number, journey, target, args, kwargs
            )
        except BaseException as error:
            backlog.refuse(number)
            step_aside(error)
            raise
        finally:
            backlog.submitting.pop(number, None)
        # Cancelled, or failed with its pool: a task that has run is not there any more.
        future.add_done_callback(lambda _: backlog.withdraw(number))
        return future

    return {"submit": submit}


def invoke(
    event: Any,  # noqa: ARG001 - what the wrapper takes for the event
    function: Callable[..., Any],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Call a function; wrapped, it is the stage of tasks that are none themselves."""
    return function(*args, **kwargs)


def run_turn(  # noqa: PLR0913, PLR0917 - runs as the executor's task
    backlog: Any,
    number: int,
    journey: Journey,
    target: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run one task as a turn of this worker.

    Args:
        backlog: What it waited in.
        number: Its number there.
        journey: The journey it is on.
        target: What to call.
        args: Its arguments.
        kwargs: Its keyword arguments.
    """
    worker = None
    # An executor may run its task where it is submitted: that is no worker of its own.
    inline = backlog.submitting.get(number) == get_ident()
    try:
        worker = this_worker()
        settle(worker)
        outer = worker.turn, worker.pending
        worker.turn, worker.pending = None, []
        wait = backlog.start(number)
        if worker.waiting:
            worker.idle += clock() - worker.waiting
            worker.waiting = 0
        queue = backlog.record.backlog
        turn = Turn(id(args[0]) if args else 0, journey, queue.pipeline, queue.name)
        turn.wait = wait
        fetched(worker, turn)
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("task", error)
    try:
        return target(*args, **kwargs)
    except BaseException as error:
        step_aside(error)
        raise
    finally:
        try:
            backlog.end()
            if worker is not None:
                leave_turn(worker)
                worker.turn, worker.pending = outer if inline else (None, [])
                worker.waiting = 0 if inline else clock()
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("task", error)
