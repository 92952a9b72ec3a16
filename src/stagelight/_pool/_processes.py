"""Observe a process pool: tasks carry their trace context, results their timings."""

from __future__ import annotations

from concurrent.futures.process import _process_chunk
from functools import partial
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from stagelight import _guard
from stagelight._aside import step_aside
from stagelight._carrier import pack
from stagelight._onward import carry
from stagelight._pool._remote import EXPECTED, KEYS, Ticket, run_task
from stagelight._pool._sample import sample
from stagelight._pool._threads import Backlog, PoolState, is_observed
from stagelight._twin import become_twin
from stagelight._workers import this_worker

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor, Future

    from stagelight._buffers import PoolRecord
    from stagelight._journey import Journey
    from stagelight._records import StageRecord


def observe(
    executor: Executor, record: PoolRecord, make_stage: Callable[[], StageRecord]
) -> None:
    """Hook one executor.

    Args:
        executor: The executor.
        record: Where it is recorded.
        make_stage: Makes the stage of its tasks.
    """
    become_twin(executor, PoolState(_ProcessBacklog(record), make_stage), _hooks)
    record.limit = int(getattr(executor, "_max_workers", 0) or 0)


def _hooks(kind: Any) -> dict[str, Any]:
    outer_submit = kind.submit

    def submit(
        self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        state = self.__stagelight__
        backlog = state.backlog
        record = backlog.record
        event = args[0] if args else None
        journey = carry(this_worker(), event if args else fn, record.name)
        # What is a stage already is recorded in the process that calls it.
        mapper, function, given = _chunk(fn, args, kwargs)
        make_stage = None if is_observed(function) else state.stage
        calls = (function, given, {}) if mapper else (fn, [args], kwargs)
        task = _Task(backlog, backlog.add(), journey, make_stage, calls)
        ticket = Ticket(
            next(KEYS),
            record.pipeline.name,
            record.name,
            clock(),
            journey.began,
            pack(journey),
            make_stage is not None,
        )
        EXPECTED[ticket.key] = task.arrived
        try:
            future: Future[Any] = outer_submit(
                self, run_task, ticket, mapper, function, given, kwargs
            )
        except BaseException as error:
            del EXPECTED[ticket.key]
            backlog.refuse(task.number)
            step_aside(error)
            raise
        future.add_done_callback(partial(task.done, ticket.key))
        return future

    return {"submit": submit}


def _chunk(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any, Any]:
    """What maps over a chunk, what it calls, and with what; None for a plain task."""
    if (
        isinstance(function, partial)
        and function.func is _process_chunk
        and len(function.args) == len(args) == 1
        and not kwargs
    ):
        return _process_chunk, function.args[0], args[0]
    return None, function, args


class _ProcessBacklog(Backlog):
    """Tasks not yet done; those beyond the number of workers are waiting."""

    def stamps(self) -> list[int]:
        """Clocks at the submit of those that wait."""
        return super().stamps()[self.record.limit :]

    def size(self) -> int:
        """How many tasks wait."""
        return max(super().size() - self.record.limit, 0)

    def done(self, number: int, start: int | None) -> int:
        """Note that a task is done; returns the clock at its submit."""
        record = self.record
        with record.lock:
            submitted = self.waiting.pop(number, clock())
            record.started += 1
            record.completed += 1
            record.backlog.dequeued += 1
            if start is not None:
                record.backlog.wait.record(max(start - submitted, 0))
        return submitted


class _Task:
    """What the parent keeps of one task until its result is back."""

    __slots__ = ("backlog", "calls", "journey", "make_stage", "number", "times")

    def __init__(
        self,
        backlog: _ProcessBacklog,
        number: int,
        journey: Journey,
        make_stage: Callable[[], StageRecord] | None,
        calls: tuple[Any, Any, dict[str, Any]] | None,
    ) -> None:
        self.backlog = backlog
        self.number = number
        self.journey = journey
        self.make_stage = make_stage
        #: Function, arguments of each call, and keyword arguments.
        self.calls = calls
        self.times: array[int] | None = None

    def _call(self, number: int) -> tuple[Any, tuple[Any, ...], dict[str, Any]] | None:
        if self.calls is None:
            return None
        function, given, named = self.calls
        return function, tuple(given[number]), named

    def arrived(self, times: array[int], _error: BaseException | None) -> None:
        """Keep the timings; the future is done right afterwards."""
        self.times = times

    def done(self, key: int, future: Future[Any]) -> None:
        """Record the task; runs in the executor's own thread."""
        try:
            EXPECTED.pop(key, None)
            if future.cancelled():
                self.backlog.withdraw(self.number)
                return
            times: Sequence[int] = self.times or ()
            submitted = self.backlog.done(self.number, times[0] if times else None)
            if self.make_stage is None:
                return
            stage, error = self.make_stage(), future.exception()
            name, context = self.backlog.record.name, self.journey.context
            if not times:  # it did not run, or its worker died
                times = (submitted, clock())
            for at in range(0, len(times), 2):
                problem = error if at == len(times) - 2 else None
                call = self._call(at // 2) if problem is not None else None
                event = call[1][0] if call is not None and call[1] else None
                took = times[at + 1] - times[at]
                sample(stage, took, problem, event, name, context, call)
        except Exception as failure:  # noqa: BLE001 - never into the pipeline
            _guard.caught("task", failure)
        finally:
            self.calls = None
