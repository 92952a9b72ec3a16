"""pypeln: the functions of its stages, and the queues between threads and tasks.

An element keeps its identity on the way through a queue, so what is known of it is kept
beside the queue. Between processes it is pickled, and its trace context with it: what
arrives is the element itself.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
import weakref
from contextvars import ContextVar
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight._aside import step_aside
from stagelight._carrier import pack, unpack
from stagelight._journey import open_journey
from stagelight._tracer import TRACER
from stagelight.instrumentation._ledger import LEDGER
from stagelight.instrumentation.frameworks._brokers import LocalQueue
from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import Delivery, here
from stagelight.instrumentation.frameworks._lazy import Lazy
from stagelight.instrumentation.frameworks._steps import Step, qualified, step
from stagelight.instrumentation.frameworks._wrapper import Wrapper
from stagelight.instrumentation.frameworks._wrapping import observed, suppressed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from stagelight._journey import Journey
    from stagelight._records import Kind
    from stagelight.instrumentation.frameworks._patches import Patches

_RULE: Final = "a pypeln stage"
#: Input queue of a stage -> what waits in it.
_INPUTS: Final[weakref.WeakKeyDictionary[Any, _Input]] = weakref.WeakKeyDictionary()
#: Arrival of the element that this thread or task works on, and its journey.
_ARRIVED: Final[ContextVar[Delivery | None]] = ContextVar("pypeln", default=None)
_JOURNEY: Final[ContextVar[Journey | None]] = ContextVar("pypeln_now", default=None)

#: Elements between stages of different kinds, by identity, with their journeys.
_PASSED: Final[dict[int, tuple[Any, Journey]]] = {}
_MOST_PASSED: Final = 10_000
#: Queues out of which a stage of another kind takes elements.
_ENDS: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


class _Thread(threading.local):
    """What this thread does just now.

    Attributes:
        opened: The element that it fetched from another process, and its journey.
        passing: Whether it builds stages whose elements another kind goes on with.
    """

    opened: tuple[Any, Journey] | None = None
    passing = False


_NOW: Final = _Thread()


class _Input:
    """Elements on their way into a stage, by identity."""

    def __init__(self, name: str, queue: Any) -> None:
        bound = getattr(queue, "maxsize", 0) or None
        self.record = LocalQueue(name, _RULE, queue, bound).record
        waiting = self._waiting = {}  # type: dict[int, tuple[Any, int, Journey]]
        self.record.size = lambda: len(waiting)
        self.record.oldest = lambda: next((at for _, at, _ in waiting.values()), None)

    def put(self, element: Any, journey: Journey) -> None:
        """Note an element that goes in."""
        record = self.record
        with record.lock:
            self._waiting[id(element)] = element, clock(), journey
            record.enqueued += 1
            record.peak.note(len(self._waiting))

    def get(self, element: Any) -> Delivery | None:
        """The arrival of an element."""
        record = self.record
        with record.lock:
            known = self._waiting.pop(id(element), None)
            if known is None:
                return None
            _, at, journey = known
            wait = clock() - at
            record.dequeued += 1
            record.wait.record(wait)
        return Delivery(journey, record.name, wait)


def _queues(module: Any, patches: Patches) -> None:
    patches.before(module.OutputQueues, "put", _put)


def _pipes(module: Any, patches: Patches) -> None:
    patches.replace(module.IterableQueue, "put", _sealing)


def _sealing(original: Any) -> Any:
    def put(self: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            if hasattr(obj, "index") and hasattr(obj, "value") and not suppressed():
                journey = _passed(obj) or _JOURNEY.get() or _begun()
                obj = _Sealed(obj, pack(journey), journey.began)
        except Exception as error:  # noqa: BLE001 - never into pypeln
            _guard.caught("framework", error)
        return original(self, obj, *args, **kwargs)

    return put


def _begun() -> Journey:
    """The journey of an element that a source makes, which all processes go on with."""
    journey = here()
    if TRACER.on and journey.context is None:
        open_journey(journey, LEDGER.pipeline.name)
    return journey


class _Sealed:
    """An element on its way to another process, which unpickles to the element."""

    __slots__ = ("_arguments",)

    def __init__(self, element: Any, carrier: dict[str, str], began: int) -> None:
        self._arguments = element, carrier, began

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Unpickle to the element."""
        return open_element, self._arguments


def open_element(element: Any, carrier: dict[str, str], began: int) -> Any:
    """Note the journey of an element that arrives, and return it.

    Args:
        element: The element.
        carrier: Its trace context as the propagators wrote it.
        began: Clock at the begin of its journey.
    """
    try:
        _NOW.opened = element, unpack(began, carrier)
    except Exception as error:  # noqa: BLE001 - never into pypeln
        _guard.caught("framework", error)
    return element


def _opened(element: Any) -> Journey | None:
    """The journey of the element that this thread fetched from another process."""
    known, _NOW.opened = _NOW.opened, None
    return known[1] if known is not None and known[0] is element else None


def _pass_on(element: Any, journey: Journey) -> None:
    if len(_PASSED) < _MOST_PASSED:
        _PASSED[id(element)] = element, journey


def _passed(element: Any) -> Journey | None:
    """The journey of an element that comes from a stage of another kind."""
    known = _PASSED.get(id(element))
    if known is None or known[0] is not element:
        return None
    del _PASSED[id(element)]
    return known[1]


def _stages(module: Any, patches: Patches) -> None:
    patches.replace(module.Stage, "to_iterable", _passing)


def _passing(original: Any) -> Any:
    def to_iterable(self: Any, maxsize: int, return_index: bool) -> Any:  # noqa: FBT001 - as pypeln has it
        items = original(self, maxsize, return_index)
        return _with_journeys(items) if return_index else items

    return to_iterable


def _with_journeys(items: Generator[Any, None, None]) -> Generator[Any, None, None]:
    """The same elements, whose journeys are known where they go on."""
    with contextlib.closing(items):
        while True:
            _NOW.passing = True
            try:
                element = next(items)
            except StopIteration:
                return
            except BaseException as error:
                step_aside(error)
                raise
            finally:
                _NOW.passing = False
            journey = _opened(element)
            if journey is not None:
                _pass_on(element, journey)
            yield element
            element = None


def _workers(module: Any, patches: Patches) -> None:
    patches.after(module.Worker, "__init__", _made)


def _processes(module: Any, patches: Patches) -> None:
    for name in ("Map", "FlatMap", "Filter", "Each"):
        if name in vars(module):
            patches.around(getattr(module, name), "apply", _apply)


def _step(function: Any, kind: Kind = "call") -> Step:
    own = getattr(function, "__name__", "<lambda>")
    name = "lambda" if own == "<lambda>" else own
    known = qualified(function)
    return step(name, rule=_RULE, source=f"pypeln {known}", function=known, kind=kind)


def _put(queues: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    element = args[0] if args else kwargs["x"]
    if not hasattr(element, "index"):
        return
    journey = _passed(element) or _JOURNEY.get() or here()
    for queue in queues:
        known = _INPUTS.get(queue)
        if known is not None:
            known.put(element, journey)
        elif queue in _ENDS:
            _pass_on(element, journey)


def _made(worker: Any, _args: Any, _kwargs: Any, result: object) -> None:
    """Observe the function of a stage, and its input, before anything is put there."""
    process = worker.process_fn
    function = getattr(process, "f", None)
    if isinstance(result, BaseException) or function is None:
        return
    if _NOW.passing:
        _ENDS.add(worker.main_queue)
    queue = worker.stage_params.input_queue
    if queue not in _INPUTS:
        _INPUTS[queue] = _Input(getattr(function, "__name__", "stage"), queue)
    if isinstance(function, Wrapper):
        return
    inner = process.apply

    def apply(worker: Any, elem: Any, **kwargs: Any) -> Any:
        known = _INPUTS.get(worker.stage_params.input_queue)
        delivery = None if known is None else known.get(elem)
        _ARRIVED.set(delivery)
        _JOURNEY.set(None if delivery is None else delivery.journey)
        return inner(worker, elem, **kwargs)

    process.apply = apply
    process.f = _observed(function)


def _observed(function: Any) -> Any:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        made = _step(function, "coroutine")
        return Wrapper(function, _lazily(made))
    coroutine = inspect.iscoroutinefunction(function)
    made = _step(function, "coroutine" if coroutine else "call")

    def observe(_owner: Any, args: tuple[Any, ...], _kwargs: Any) -> Call:
        return Call(made, args[0] if args else None, _ARRIVED.get())

    return observed(function, observe)


def _lazily(made: Step) -> Any:
    def wrapper(wrapped: Any, _owner: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        items = wrapped(*args, **kwargs)
        try:
            if suppressed():
                return items
            call = Lazy(made, args[0] if args else None, _ARRIVED.get())
            if inspect.isasyncgen(items):
                return call.over_async(items)
            return call.over(items)
        except Exception as error:  # noqa: BLE001 - never into pypeln
            _guard.caught("framework", error)
            return items

    return wrapper


def _apply(process: Any, args: tuple[Any, ...], _kwargs: Any) -> Call:
    element, delivery = args[1], None
    journey = _opened(element)
    if journey is not None:
        delivery = Delivery(journey)
        _JOURNEY.set(journey)
    return Call(_step(process.f), element.value, delivery)


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "pypeln.thread.queue": _queues,
    "pypeln.thread.worker": _workers,
    "pypeln.task.queue": _queues,
    "pypeln.task.worker": _workers,
    "pypeln.process.queue": _pipes,
    "pypeln.thread.stage": _stages,
    "pypeln.task.stage": _stages,
    "pypeln.process.stage": _stages,
    "pypeln.process.api.map": _processes,
    "pypeln.process.api.flat_map": _processes,
    "pypeln.process.api.filter": _processes,
    "pypeln.process.api.each": _processes,
}
