"""What runs in a worker process, and how its timings travel back.

What crosses the process border is a module-level function, plain values and the user's
own function and arguments, so that nothing is pickled that did not pickle before.
"""

from __future__ import annotations

from array import array
from functools import partial
from itertools import count
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry import trace

from stagelight import _guard, _names, _outcomes
from stagelight._aside import step_aside
from stagelight._carrier import unpack
from stagelight._journey import Turn, leave_turn
from stagelight._pool import ON_CHILD
from stagelight._records import StageRecord
from stagelight._registry import REGISTRY
from stagelight._slots import Slot
from stagelight._spans import begin_span, close
from stagelight._tracer import TRACER
from stagelight._turns import fetched
from stagelight._workers import this_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Clock at start and end of each call of a task, and how the last one failed.
    Arrival = Callable[[array[int], BaseException | None], object]

#: Who waits for the timings of a task, by the task's key.
EXPECTED: Final[dict[int, Arrival]] = {}
KEYS: Final = count(1)


class Ticket(NamedTuple):
    """What a task brings along.

    Attributes:
        key: Which task it is, in the process that submitted it.
        pipeline: Name of its pipeline.
        pool: Name of its pool.
        submitted: Clock at the submit.
        began: Clock at the begin of its journey.
        carrier: Its trace context as the propagators wrote it.
        needs_span: Whether its calls need a span, being no stage themselves.
    """

    key: int
    pipeline: str
    pool: str
    submitted: int
    began: int
    carrier: dict[str, str]
    needs_span: bool


class Timed:
    """A task's result on its way back, which unpickles to the result itself.

    So the executor never has anything in hand but what the program expects of it.
    """

    __slots__ = ("_result", "told")

    def __init__(self, result: Any, key: int, times: array[int]) -> None:
        self._result = result
        self.told = key, times

    def __repr__(self) -> str:
        return repr(self._result)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Unpickle to the result."""
        return arrive, (self._result, *self.told)


def arrive(result: Any, key: int, times: array[int]) -> Any:
    """Note when the calls of a task ran, and return its result.

    Args:
        result: What the task returned.
        key: Which task it was.
        times: Clocks at start and end of each call, in the worker process.
    """
    _note(key, times, None)
    return result


def arrive_failed(error: Any, key: int, times: array[int]) -> Any:
    """Note when the calls of a failed task ran, and return its exception.

    Args:
        error: What the task raised.
        key: Which task it was.
        times: Clocks at start and end of each call, in the worker process.
    """
    _note(key, times, error)
    return error


def _note(key: int, times: array[int], error: BaseException | None) -> None:
    try:
        tell = EXPECTED.get(key)
        if tell is not None:
            tell(times, error)
    except Exception as problem:  # noqa: BLE001 - never into the pipeline
        _guard.caught("task", problem)


class Visit:
    """The calls of one task, each as a turn of this worker on the task's journey.

    Args:
        ticket: What the task brought along.
        function: The user's function.
    """

    def __init__(self, ticket: Ticket, function: Callable[..., Any]) -> None:
        while ON_CHILD:
            ON_CHILD.pop()()
        self._ticket = ticket
        self._worker = this_worker()
        self._home = REGISTRY.pipeline(ticket.pipeline)
        TRACER.refresh()
        # A forked worker has the context of whoever made it: that span is stale.
        self._ambient = trace.get_current_span().get_span_context().span_id
        self._slot: Slot | None = None
        if TRACER.on and ticket.needs_span:
            stage = StageRecord(self._home, ticket.pool, "call", _name(function))
            self._slot = Slot(stage, self._worker)

    def begin(self, args: tuple[Any, ...], start: int) -> Any:
        """Begin a call; returns its span, if it has one.

        Args:
            args: The function's arguments.
            start: The clock.
        """
        ticket = self._ticket
        journey = unpack(ticket.began, ticket.carrier)
        turn = Turn(id(args[0]) if args else 0, journey, self._home, ticket.pool)
        turn.wait = max(start - ticket.submitted, 0)
        turn.ambient = self._ambient
        slot = self._slot
        traced = None if slot is None else begin_span(slot, turn, [], nested=False)
        fetched(self._worker, turn)
        if traced is not None:
            traced.activate()
        return traced

    def end(
        self,
        traced: Any,
        args: tuple[Any, ...],
        took: int,
        problem: BaseException | None,
    ) -> None:
        """End a call.

        Args:
            traced: What ``begin`` gave.
            args: The function's arguments.
            took: Nanoseconds that it took.
            problem: What it raised.
        """
        self._worker.pending.clear()
        leave_turn(self._worker)
        slot = self._slot
        if slot is not None:
            outcome, error_type = (
                (_names.SUCCESS, "")
                if problem is None
                else _outcomes.classify(slot.stage, problem)
            )
            event = args[0] if args else None
            close(slot, slot, traced, took, 0, outcome, error_type, event, problem)


def call(
    visit: Visit | None,
    times: array[int],
    function: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Call the user's function, and note when it ran.

    Args:
        visit: The task's visit, None where that failed.
        times: Gets the clock at start and end.
        function: The user's function.
        args: Its arguments.
        kwargs: Its keyword arguments.
    """
    traced = None
    start = clock()
    if visit is not None:
        try:
            traced = visit.begin(args, start)
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("task", error)
    problem: BaseException | None = None
    try:
        return function(*args, **kwargs)
    except BaseException as error:
        problem = error
        step_aside(error)
        raise
    finally:
        end = clock()
        times.extend((start, end))
        if visit is not None:
            try:
                visit.end(traced, args, end - start, problem)
            except Exception as error:  # noqa: BLE001 - never into the pipeline
                _guard.caught("task", error)
        problem = None


def visit(ticket: Ticket, function: Callable[..., Any]) -> Visit | None:
    """Get ready for the calls of a task; None where that fails."""
    try:
        return Visit(ticket, function)
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("task", error)
        return None


def run_task(
    ticket: Ticket,
    mapper: Callable[..., Any] | None,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run one task of an executor, a call or a chunk of ``map``, inside its journey.

    Its samples are recorded by the parent, its spans here.

    Args:
        ticket: What it brings along.
        mapper: What calls the function for each part of a chunk, else None.
        function: The user's function.
        args: Its arguments; of a chunk, those of each call.
        kwargs: Its keyword arguments.
    """
    from stagelight._pool import _failing

    _failing.install()
    times = array("q")
    _failing.LAST[:] = [(ticket.key, times)]
    here = visit(ticket, function)
    try:
        if mapper is None:
            result = call(here, times, function, *args, **kwargs)
        else:
            result = mapper(partial(call, here, times, function), args)
    except BaseException as error:
        step_aside(error)
        raise
    return Timed(result, ticket.key, times)


def run_calls(
    ticket: Ticket,
    mapper: Callable[[Any], Any] | None,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run one task of a ``multiprocessing`` pool: a call, or a chunk of calls.

    Args:
        ticket: What it brings along.
        mapper: What calls the function for each part of a chunk, else None.
        function: The user's function.
        args: Its arguments, or the parts of the chunk.
        kwargs: Its keyword arguments.
    """
    from stagelight._pool import _ends

    _ends.install()
    times = array("q")
    here = visit(ticket, function)
    try:
        if mapper is None:
            result = call(here, times, function, *args, **kwargs)
        else:
            result = mapper((partial(call, here, times, function), args))
    except BaseException as error:
        step_aside(error)
        _ends.FAILED[:] = [(ticket.key, times)]
        raise
    return Timed(result, ticket.key, times)


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
