"""streamz: the functions of its nodes, and the nodes that hold elements back.

A node's ``update`` calls all that is downstream of it, so the functions themselves are
the stages: siblings in the journey of the element that a source emitted.
"""

from __future__ import annotations

import inspect
import weakref
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight._tracer import TRACER
from stagelight.instrumentation.frameworks._brokers import LocalQueue
from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import (
    PASSED,
    Delivery,
    here,
    is_inside,
)
from stagelight.instrumentation.frameworks._steps import qualified, step
from stagelight.instrumentation.frameworks._wrapping import observed

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._journey import Journey
    from stagelight.instrumentation.frameworks._patches import Patches

#: Attribute of a node that holds its function.
_FUNCTIONS: Final = {
    "map": "func",
    "map_async": "func",
    "starmap": "func",
    "filter": "predicate",
    "accumulate": "func",
    "sink": "func",
}
_QUEUES: Final[weakref.WeakKeyDictionary[Any, LocalQueue]] = weakref.WeakKeyDictionary()
#: Node that emits from a task of its own -> identity of a result -> its journeys.
_RESULTS: Final[weakref.WeakKeyDictionary[Any, dict[int, list[Journey]]]] = (
    weakref.WeakKeyDictionary()
)
#: Not empty once a node is in one of these.
_HOLDING: Final[list[bool]] = []


def _core(module: Any, patches: Patches) -> None:
    patches.replace(module.Stream, "_emit", _emitting)
    for name in ("map", "map_async", "starmap", "filter", "accumulate"):
        if hasattr(module, name):
            patches.after(getattr(module, name), "__init__", _made)
    for name in ("buffer", "delay"):
        patches.before(getattr(module, name), "update", _put)


def _sinks(module: Any, patches: Patches) -> None:
    patches.after(module.sink, "__init__", _made)


def _made(node: Any, _args: Any, _kwargs: Any, _result: object) -> None:
    """Observe the function of a node that was made."""
    kind = type(node)
    attribute = _FUNCTIONS.get(kind.__name__)
    if attribute is None or kind.__module__ not in {"streamz.core", "streamz.sinks"}:
        return  # one that sends its function elsewhere, pickled
    function = getattr(node, attribute)
    own = getattr(function, "__name__", "<lambda>")
    plain = inspect.isbuiltin(function) or own == "<lambda>"
    name = node.name or (kind.__name__ if plain else own)
    coroutine = inspect.iscoroutinefunction(function)
    made = step(
        name,
        rule="a streamz node",
        source=f"streamz {kind.__name__} {name} {qualified(function)}",
        function=qualified(function),
        kind="coroutine" if coroutine else "call",
    )
    last = 1 if kind.__name__ == "accumulate" else 0

    def observe(_owner: Any, args: tuple[Any, ...], _kwargs: Any) -> Call:
        event = args[last] if args[last:] else None
        return Call(made, event, _arrival(), _keeper(results))

    results: dict[int, list[Journey]] | None = None
    if kind.__name__ == "map_async":
        results = _RESULTS[node] = {}
        _HOLDING[:] = [True]
    call = made.call

    def run(wrapped: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        event = args[last] if args[last:] else None
        try:
            return call(event, wrapped, *args, **kwargs)
        except BaseException as error:
            Call(made, event).fail(error)
            raise

    def direct() -> Callable[..., Any] | None:
        # Nothing is known of the element: a Call would add nothing.
        return run if PASSED.get() is None else None

    setattr(node, attribute, observed(function, observe, direct))


def _keeper(
    results: dict[int, list[Journey]] | None,
) -> Callable[[Any, BaseException | None], None] | None:
    """Notes to which element a result belongs that another task will emit."""
    known = PASSED.get()
    if results is None or known is None:
        return None
    journey = known[0]

    def ended(result: Any, error: BaseException | None) -> None:
        if error is None:
            results.setdefault(id(result), []).append(journey)

    return ended


def _arrival() -> Delivery | None:
    known = PASSED.get()
    return None if known is None or is_inside() else Delivery(*known)


def _queue(node: Any) -> LocalQueue:
    queue = _QUEUES.get(node)
    if queue is None:
        kind = type(node).__name__
        bound = getattr(node.queue, "maxsize", 0) or None
        name = node.name or kind
        queue = _QUEUES[node] = LocalQueue(name, "a streamz node", node, bound)
        _HOLDING[:] = [True]
    return queue


def _put(node: Any, _args: Any, _kwargs: Any) -> None:
    known = PASSED.get()
    _queue(node).put(here() if known is None else known[0])


def _emitting(emit: Any) -> Any:
    """A plain function: to bind a wrapper would take as long as all that it does."""

    def _emit(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not TRACER.on and not _HOLDING:
            return emit(self, *args, **kwargs)
        token = _enter(self, args)
        try:
            return emit(self, *args, **kwargs)
        finally:
            if token is not None:
                PASSED.reset(token)

    return _emit


def _enter(node: Any, args: tuple[Any, ...]) -> Any:
    """Tell the functions downstream which element they are called with."""
    token = None
    try:
        queue = _QUEUES.get(node)
        delivery = None if queue is None else queue.get()
        if delivery is not None:
            token = PASSED.set((delivery.journey, delivery.queue, delivery.wait))
        elif node in _RESULTS:
            found = _RESULTS[node].get(id(args[0])) or [here()]
            token = PASSED.set((found.pop(0), None, 0))
            if not found:
                _RESULTS[node].pop(id(args[0]), None)
        elif PASSED.get() is None and TRACER.on:
            token = PASSED.set((here(), None, 0))
    except Exception as error:  # noqa: BLE001 - never into streamz
        _guard.caught("framework", error)
    return token


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "streamz.core": _core,
    "streamz.sinks": _sinks,
}
