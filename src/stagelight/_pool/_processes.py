"""Observe a process pool: tasks carry their trace context, results their timings.

What crosses the process border is a module-level function, plain values and the user's
own function and arguments, so that nothing is pickled that did not pickle before.
"""

from __future__ import annotations

from concurrent.futures.process import _process_chunk
from functools import partial
from itertools import count
from time import perf_counter_ns as clock
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

from stagelight import _guard, _names, _outcomes, _sinks
from stagelight._aside import step_aside
from stagelight._carrier import pack, unpack
from stagelight._cells import NANOSECONDS
from stagelight._journey import Journey, Turn, leave_turn
from stagelight._pool import ON_CHILD
from stagelight._pool._threads import Backlog, PoolState, is_observed
from stagelight._records import StageRecord
from stagelight._registry import REGISTRY
from stagelight._sinks import EventRecord
from stagelight._slots import Slot
from stagelight._spans import begin_span, close
from stagelight._tracer import TRACER
from stagelight._turns import carry, fetched
from stagelight._twin import become_twin
from stagelight._workers import this_worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

    from stagelight._buffers import PoolRecord


#: Start and end of tasks whose result is being set, by task; None until it arrives.
_TIMINGS: Final[dict[int, tuple[int, int] | None]] = {}
_KEYS: Final = count(1)


class Timed:
    """A task's result on its way back, which unpickles to the result itself.

    So the executor never has anything in hand but what the program expects of it.
    """

    __slots__ = ("_arguments",)

    def __init__(self, result: Any, key: int, start: int, end: int) -> None:
        self._arguments = (result, key, start, end)

    def __reduce__(self) -> tuple[Any, tuple[Any, int, int, int]]:
        """Unpickle to the result."""
        return arrive, self._arguments


def arrive(result: Any, key: int, start: int, end: int) -> Any:
    """Note when a task ran, and return its result.

    Args:
        result: What the task returned.
        key: Which task it was.
        start: Clock at its start, in the worker process.
        end: Clock at its end.
    """
    if key in _TIMINGS:
        _TIMINGS[key] = (start, end)
    return result


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
        journey = carry(this_worker(), args[0] if args else fn, record.name)
        # What is a stage already is recorded in the process that calls it.
        make_stage = None if _is_observed(fn) else state.stage
        number = backlog.add()
        key = next(_KEYS)
        _TIMINGS[key] = None
        ticket = (
            key,
            record.pipeline.name,
            record.name,
            clock(),
            journey.began,
            pack(journey),
            make_stage is not None,
        )
        try:
            future: Future[Any] = outer_submit(self, run_task, ticket, fn, args, kwargs)
        except BaseException as error:
            del _TIMINGS[key]
            backlog.refuse(number)
            step_aside(error)
            raise
        call = (fn, args, kwargs)
        task = _Task(backlog, number, key, journey, make_stage, call)
        future.add_done_callback(task.done)
        return future

    return {"submit": submit}


def _is_observed(function: Any) -> bool:
    """Whether a task records itself, alone or as a chunk of ``map``."""
    if is_observed(function):
        return True
    chunk = isinstance(function, partial) and function.func is _process_chunk
    return chunk and is_observed(function.args[0])


class _ProcessBacklog(Backlog):
    """Tasks not yet done; those beyond the number of workers are waiting."""

    def stamps(self) -> list[int]:
        """Clocks at the submit of those that wait."""
        return super().stamps()[self.record.limit :]

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

    __slots__ = ("backlog", "call", "journey", "key", "make_stage", "number")

    def __init__(  # noqa: PLR0913, PLR0917 - plain data
        self,
        backlog: _ProcessBacklog,
        number: int,
        key: int,
        journey: Journey,
        make_stage: Callable[[], StageRecord] | None,
        call: tuple[Any, tuple[Any, ...], dict[str, Any]] | None,
    ) -> None:
        self.backlog = backlog
        self.number = number
        self.key = key
        self.journey = journey
        self.make_stage = make_stage
        self.call = call

    def done(self, future: Future[Any]) -> None:
        """Record the task; runs in the executor's own thread."""
        try:
            timed = _TIMINGS.pop(self.key, None)
            if future.cancelled():
                self.backlog.withdraw(self.number)
                return
            start = timed[0] if timed is not None else None
            submitted = self.backlog.done(self.number, start)
            if self.make_stage is None:
                return
            slot = self.make_stage().slot()
            error = future.exception()
            if timed is not None:
                _sample(slot, timed[1] - timed[0], None, self)
            else:
                # A failed task brings no timings back: its wait counts as well.
                _sample(slot, clock() - submitted, error, self)
        except Exception as problem:  # noqa: BLE001 - never into the pipeline
            _guard.caught("task", problem)
        finally:
            self.call = None


def _sample(slot: Slot, took: int, error: BaseException | None, task: _Task) -> None:
    end = clock()
    if end >= slot.roll:
        slot.turn_over(end)
    if error is None:
        slot.record(took)
        return
    stage = slot.stage
    outcome, error_type = _outcomes.classify(stage, error)
    slot.failure(outcome, error_type).record(took)
    if outcome in _names.ERRORS and _sinks.EVENTS:
        args = task.call[1] if task.call is not None else ()
        event = args[0] if args else None
        _sinks.announce(
            EventRecord(
                name=_names.EXCEPTION_EVENT,
                pipeline=stage.pipeline.name,
                stage=stage.name,
                queue=task.backlog.record.name,
                time_ns=time_ns(),
                error_type=error_type,
                exception=error,
                outcome=outcome,
                event_id=_outcomes.event_id(stage, event),
                attempt=_outcomes.attempt(event, 0),
                duration=took / NANOSECONDS,
                context=task.journey.context,
                source=stage,
                event=event,
                call=task.call,
            )
        )


def run_task(
    ticket: tuple[int, str, str, int, int, dict[str, str], bool],
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run one task in the worker process, inside its journey.

    Its sample is recorded by the parent, its span here.

    Args:
        ticket: Task, pipeline, pool, clock at the submit, begin of the journey,
            carrier, and whether it needs a span, being no stage itself.
        function: The user's function.
        args: Its arguments.
        kwargs: Its keyword arguments.
    """
    traced = slot = None
    start = clock()
    try:
        while ON_CHILD:
            ON_CHILD.pop()()
        _, pipeline, pool, submitted, began, carrier, needs_span = ticket
        worker = this_worker()
        home = REGISTRY.pipeline(pipeline)
        key = id(args[0]) if args else 0
        turn = Turn(key, unpack(began, carrier), home, pool)
        turn.wait = max(start - submitted, 0)
        TRACER.refresh()
        # A forked worker has the context of whoever made it: that span is stale.
        turn.ambient = trace.get_current_span().get_span_context().span_id
        if TRACER.on and needs_span:
            stage = StageRecord(home, pool, "call", _name(function))
            slot = Slot(stage, worker)
            traced = begin_span(slot, turn, [], nested=False)
        fetched(worker, turn)
        if traced is not None:
            traced.activate()
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("task", error)
    problem: BaseException | None = None
    try:
        result = function(*args, **kwargs)
    except BaseException as error:
        problem = error
        step_aside(error)
        raise
    finally:
        end = clock()
        try:
            worker.pending.clear()
            leave_turn(worker)
            if slot is not None:
                outcome, error_type = (
                    (_names.SUCCESS, "")
                    if problem is None
                    else _outcomes.classify(slot.stage, problem)
                )
                event = args[0] if args else None
                took = end - start
                close(slot, slot, traced, took, 0, outcome, error_type, event, problem)
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("task", error)
        problem = None
    return Timed(result, ticket[0], start, end)


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
