"""Dask distributed: what a client submits, and the tasks that workers run of it.

The journey travels as one more annotation of the graph, which a worker without us does
not look at. What is submitted with futures for its arguments is on their journey. What
a worker computes and what it waits for from other workers are stages of their own.
"""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from functools import partial
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

from stagelight import _guard
from stagelight._aside import step_aside
from stagelight._carrier import pack
from stagelight._cells import NANOSECONDS
from stagelight._journey import open_journey
from stagelight._onward import carry
from stagelight._tracer import TRACER
from stagelight._workers import this_worker
from stagelight.instrumentation._ledger import LEDGER
from stagelight.instrumentation.frameworks._brokers import broker_queue
from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import (
    KEY,
    PASSED,
    continued,
    is_inside,
    part,
    root,
)
from stagelight.instrumentation.frameworks._steps import step
from stagelight.instrumentation.frameworks._wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from stagelight._buffers import QueueRecord
    from stagelight._journey import Journey
    from stagelight._records import Kind
    from stagelight.instrumentation.frameworks._patches import Patches

WORKER_NAME: Final = "dask.worker.name"
WORKER_ADDRESS: Final = "dask.worker.address"
_PLUGIN: Final = "stagelight"
#: What the graphs of futures carry.
_CARRIERS: Final[weakref.WeakKeyDictionary[Any, dict[str, str]]] = (
    weakref.WeakKeyDictionary()
)
#: What the arguments' graph carries, of a call that is submitted now.
_ARGUMENTS: Final[ContextVar[dict[str, str] | None]] = ContextVar(
    "arguments", default=None
)


def _client(module: Any, patches: Patches) -> None:
    client = module.Client
    original = client._graph_to_futures  # noqa: SLF001 - distributed's own
    patches.put(client, "_graph_to_futures", Wrapper(original, _submit))
    for name in ("submit", "map"):
        patches.within(client, name, _with_arguments)


def _with_arguments(
    _client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Callable[[], None] | None:
    """Submit a call that goes on with what its arguments' call began."""
    found = None
    if _CARRIERS:
        found = _common(_futures((*args[1:], *kwargs.values())))
    return None if found is None else partial(_ARGUMENTS.reset, _ARGUMENTS.set(found))


def _futures(values: Iterable[Any]) -> Iterator[dict[str, str]]:
    """What the futures among some arguments carry, also in their lists and tuples."""
    from distributed import Future

    for value in values:
        for one in value if type(value) in {list, tuple} else (value,):
            if isinstance(one, Future) and one in _CARRIERS:
                yield _CARRIERS[one]


def _common(found: Iterator[dict[str, str]]) -> dict[str, str] | None:
    """What all carry, or None where they differ: what joins several is a new run."""
    first = next(found, None)
    return first if all(one == first for one in found) else None


def _worker(module: Any, patches: Patches) -> None:
    patches.around(module, "_run_task", _task)
    patches.around(module, "_run_task_async", _coroutine_task)
    patches.before(module.Worker, "_update_metrics_received_data", _received)
    patches.after(module.Worker, "start_unsafe", _started)


def _submit(wrapped: Any, _client: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
    """Send a graph with the journey that it belongs to as an annotation."""
    known: dict[str, str] = {}
    try:
        known = _carrier(args[0] if args else kwargs)
    except Exception as error:  # noqa: BLE001 - never into Dask
        _guard.caught("framework", error)
    if not known:
        return wrapped(*args, **kwargs)
    import dask

    try:
        with dask.annotate(**{KEY: known}):
            futures = wrapped(*args, **kwargs)
    except BaseException as error:
        step_aside(error)
        raise
    try:
        for future in futures.values():
            _CARRIERS[future] = known
    except Exception as error:  # noqa: BLE001 - never into Dask
        _guard.caught("framework", error)
    return futures


def _carrier(graph: object) -> dict[str, str]:
    passed = None if is_inside() else PASSED.get()
    before = _ARGUMENTS.get()
    if before is not None and passed is None and not _is_in_span():
        return before
    if passed is not None:  # as streamz does from node to node
        journey = passed[0]
    else:
        journey = carry(this_worker(), graph, "dask ready")
    if TRACER.on and journey.context is None:
        open_journey(journey, LEDGER.pipeline.name)
    return pack(journey)


def _is_in_span() -> bool:
    """Whether what is submitted here belongs to a span, ours or the program's."""
    return is_inside() or trace.get_current_span().get_span_context().is_valid


def _task(_module: Any, args: tuple[Any, ...], _kwargs: Any) -> Call:
    _, _, execution_state, key, *_ = args
    return _call(key, execution_state["worker"], "call")


def _coroutine_task(_module: Any, args: tuple[Any, ...], kwargs: Any) -> Call:
    from distributed.worker import get_worker

    task = args[0] if args else kwargs["task"]
    return _call(task.key, get_worker(), "coroutine")


def _call(key: Any, worker: Any, kind: Kind) -> Call:
    from dask.utils import key_split

    prefix = key_split(key)
    source = f"dask {prefix}"
    made = step(prefix, rule="a Dask task", source=source, kind=kind)
    event = _Task(key)
    return Call(made, event, part(_journey(key, worker)) or root(), None, _judge)


class _Task:
    """A task as an event: its key is its identifier."""

    __slots__ = ("id",)

    def __init__(self, key: object) -> None:
        self.id = str(key)


def _journey(key: Any, worker: Any) -> Journey | None:
    state = worker.state.tasks.get(key)
    known = (state.annotations or {}).get(KEY) if state is not None else None
    return continued(known) if isinstance(known, dict) else None


def _judge(message: Any) -> BaseException | None:
    """A task's error comes back in a message."""
    error = message.get("actual_exception")
    return error if isinstance(error, BaseException) else None


def _received(_worker: Any, _args: Any, kwargs: dict[str, Any]) -> None:
    """Data that came from another worker: how long it took, as a stage of its own."""
    made = step("dask transfer", rule="a Dask worker")
    slot = made.record.slot()
    now = clock()
    if now >= slot.roll:
        slot.turn_over(now)
    slot.record(max(int((kwargs["stop"] - kwargs["start"]) * NANOSECONDS), 0))


def _started(worker: Any, _args: Any, _kwargs: Any, result: object) -> None:
    if isinstance(result, BaseException):
        return
    attach(worker)


def attach(worker: Any) -> None:
    """Tell who a worker is, and watch its tasks become ready.

    Args:
        worker: A ``distributed.Worker`` in this process.
    """
    from stagelight import _lifecycle

    _lifecycle.identify(
        {WORKER_NAME: str(worker.name), WORKER_ADDRESS: str(worker.address)}
    )
    if _PLUGIN not in worker.plugins:
        # By itself: ``plugin_add`` logs, and wants a subclass of Dask's own.
        plugin = worker.plugins[_PLUGIN] = ReadyQueue()
        plugin.setup(worker)


class ReadyQueue:
    """Measures how long tasks are ready before a thread has time for them.

    A worker plugin, by the methods that Dask calls.
    """

    idempotent = True
    name = _PLUGIN

    def __init__(self) -> None:
        self._ready: dict[Any, int] = {}
        self._record: QueueRecord | None = None

    def setup(self, worker: Any) -> None:
        """Know the worker, to ask for its size."""
        ref = weakref.ref(worker)

        def size() -> int | None:
            known = ref()
            return None if known is None else len(known.state.ready)

        name = "dask ready"
        self._record = broker_queue(name, f"a Dask worker {worker.name}", size)

    def teardown(self, worker: Any) -> None:
        """Forget what waits."""
        del worker
        self._ready.clear()

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Hear of a task's change of state."""
        try:
            self._note(key, start, finish)
        except Exception as error:  # noqa: BLE001 - never into Dask
            _guard.caught("framework", error)

    def _note(self, key: Any, start: str, finish: str) -> None:
        record = self._record
        if record is None:
            return
        if finish in {"ready", "constrained"}:
            self._ready[key] = clock()
            record.enqueued += 1
            record.peak.note(len(self._ready))
        elif start in {"ready", "constrained"}:
            since = self._ready.pop(key, None)
            if since is not None:
                record.dequeued += 1
                if finish in {"executing", "long-running"}:
                    record.wait.record(clock() - since)


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "distributed.client": _client,
    "distributed.worker": _worker,
}
