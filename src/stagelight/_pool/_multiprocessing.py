"""Observe ``multiprocessing.Pool`` and ``ThreadPool``: each call, also in chunks."""

from __future__ import annotations

from array import array
from functools import partial
from multiprocessing import pool
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight._aside import step_aside
from stagelight._call import compile_wrapper
from stagelight._carrier import pack
from stagelight._onward import carry
from stagelight._pool._calls import Calls, Origin, Task
from stagelight._pool._remote import EXPECTED, KEYS, Ticket, run_calls
from stagelight._pool._threads import invoke, is_observed, run_turn
from stagelight._twin import become_twin
from stagelight._workers import this_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stagelight._buffers import PoolRecord
    from stagelight._records import StageRecord

    #: Job, number in it, function, arguments, keyword arguments.
    Call = tuple[int, int, Callable[..., Any], tuple[Any, ...], dict[str, Any]]

_MAPPERS: Final = (pool.mapstar, pool.starmapstar)  # type: ignore[attr-defined]
_RERAISE: Final = pool._helper_reraises_exception  # type: ignore[attr-defined] # noqa: SLF001
_NONE: Final = array("q")


def observe(
    executor: Any, record: PoolRecord, make_stage: Callable[[], StageRecord]
) -> None:
    """Hook one pool.

    Args:
        executor: A ``multiprocessing.pool.Pool`` or ``ThreadPool``.
        record: Where it is recorded.
        make_stage: Makes the stage of calls that are no stage themselves.
    """
    record.limit = int(getattr(executor, "_processes", 0) or 0)
    threads = isinstance(executor, pool.ThreadPool)
    record.kind = "thread" if threads else "process"
    kind = _Threads if threads else _Processes
    become_twin(executor, kind(Calls(record, executor), make_stage), _hooks)


class _Processes:
    """What the hooks of one pool of processes write to."""

    def __init__(self, calls: Calls, make_stage: Callable[[], StageRecord]) -> None:
        self.calls = calls
        self.make_stage = make_stage

    def dress(self, origin: Origin, job: int | None, call: Call) -> tuple[Task, Call]:
        """A task as it is sent to a worker.

        Args:
            origin: Where it comes from.
            job: The pool's number for what it belongs to.
            call: The task as the pool made it.
        """
        number, at, function, args, kwargs = call
        mapper = None
        if function in _MAPPERS:
            mapper, (function, args) = function, args[0]
        events = _events(mapper, args)
        # What is a stage already is recorded where it is called.
        make_stage = None if is_observed(function) else self.make_stage
        task = Task(self.calls, next(KEYS), job, make_stage, events)
        inner = self._inner(task, origin, mapper, function, args, kwargs)
        self.calls.add(task, origin.submitted)
        return task, (number, at, *inner, {})

    def _inner(  # noqa: PLR0913, PLR0917 - plain data
        self,
        task: Task,
        origin: Origin,
        mapper: Any,
        function: Any,
        args: Any,
        kwargs: Any,
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        record = self.calls.record
        journey = origin.journey(task.left)
        task.context = journey.context
        ticket = Ticket(
            task.key,
            record.pipeline.name,
            record.name,
            origin.submitted,
            journey.began,
            pack(journey),
            task.make_stage is not None,
        )
        EXPECTED[task.key] = task.arrived
        return run_calls, (ticket, mapper, function, args, kwargs)


class _Threads(_Processes):
    """What the hooks of one pool of threads write to."""

    def __init__(self, calls: Calls, make_stage: Callable[[], StageRecord]) -> None:
        super().__init__(calls, make_stage)
        self._invoke: list[Callable[..., Any]] = []

    def _inner(  # noqa: PLR0913, PLR0917 - as above
        self,
        task: Task,
        origin: Origin,
        mapper: Any,
        function: Any,
        args: Any,
        kwargs: Any,
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        recorded = None
        if task.make_stage is not None:
            if not self._invoke:
                self._invoke.append(compile_wrapper(self.make_stage(), invoke))
            recorded = self._invoke[0]
        one = partial(_call_here, self.calls, task, origin, recorded, function)
        return _run_here, (self.calls, task, one, mapper, args, kwargs)


def _events(mapper: Any, args: Any) -> Any:
    """First argument of each call of a task."""
    if mapper is None:
        return args[:1] or (None,)
    if mapper is _MAPPERS[0]:
        return args
    return [one[0] if isinstance(one, (tuple, list)) and one else None for one in args]


def _hooks(kind: Any) -> dict[str, Any]:
    outer_apply = kind.apply_async
    outer_generate = kind._guarded_task_generation  # noqa: SLF001 - our subclass

    def apply_async(  # noqa: PLR0913, PLR0917 - its signature
        self: Any,
        func: Callable[..., Any],
        args: Any = (),
        kwds: Any = {},  # noqa: B006 - its signature
        callback: Any = None,
        error_callback: Any = None,
    ) -> Any:
        state = self.__stagelight__
        task = None
        try:
            if isinstance(args, (tuple, list)) and isinstance(kwds, dict):
                origin = _origin(state, args[0] if args else func)
                task, dressed = state.dress(origin, None, (0, 0, func, args, kwds))
                _, _, func, args, kwds = dressed
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("task", error)
        try:
            result = outer_apply(self, func, args, kwds, callback, error_callback)
        except BaseException as error:
            if task is not None:
                EXPECTED.pop(task.key, None)
                state.calls.refuse(task.key)
            step_aside(error)
            raise
        if task is not None:
            task.job = result._job  # noqa: SLF001 - its number in the pool
        return result

    def _guarded_task_generation(
        self: Any, result_job: int, func: Callable[..., Any], iterable: Any
    ) -> Any:
        tasks = outer_generate(self, result_job, func, iterable)
        try:
            state = self.__stagelight__
            origin = _origin(state, iterable)
            result = self._cache.get(result_job)
            if isinstance(result, pool.MapResult):
                expected = len(result._value)  # type: ignore[attr-defined] # noqa: SLF001
                state.calls.expect(result_job, expected, origin.submitted)
            return _dressed(state, origin, tasks)
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("task", error)
            return tasks

    return {
        "apply_async": apply_async,
        "_guarded_task_generation": _guarded_task_generation,
    }


def _origin(state: _Processes, item: object) -> Origin:
    return Origin(carry(this_worker(), item, state.calls.record.name))


def _dressed(state: _Processes, origin: Origin, tasks: Iterator[Call]) -> Iterator[Any]:
    """Tasks as they are sent to workers, made when the pool asks for them."""
    for task in tasks:
        made: Any = task
        if task[2] is not _RERAISE:
            try:
                _, made = state.dress(origin, task[0], task)
            except Exception as error:  # noqa: BLE001 - never into the pipeline
                _guard.caught("task", error)
        task = None  # type: ignore[assignment] # noqa: PLW2901 - as the pool does
        yield made
        made = None


def _run_here(  # noqa: PLR0913, PLR0917 - runs as the pool's task
    calls: Calls,
    task: Task,
    one: Callable[..., Any],
    mapper: Any,
    args: Any,
    kwargs: dict[str, Any],
) -> Any:
    """Run one task in this thread."""
    try:
        if mapper is None:
            return one(*args, **kwargs)
        return mapper((one, args))
    except BaseException as error:
        step_aside(error)
        raise
    finally:
        calls.withdraw(task.key)


def _call_here(
    calls: Calls,
    task: Task,
    origin: Origin,
    recorded: Callable[..., Any] | None,
    function: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Run one call as a turn of this thread."""
    target = function
    if recorded is not None:
        target = partial(recorded, args[0] if args else None, function)
    try:
        return run_turn(calls, task.key, origin.journey(), target, args, kwargs)
    except BaseException as error:
        step_aside(error)
        raise
