"""Hamilton: each ``execute`` or ``materialize`` of a driver, and in it each node.

Where the driver has Hamilton's own ``OpenTelemetryTracer`` there is nothing to add. In
an asynchronous driver a node's call waits for its inputs, so what is observed there is
the node's own function.
"""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import (
    carrier,
    continued,
    part,
    root,
)
from stagelight.instrumentation.frameworks._steps import Step, qualified, step
from stagelight.instrumentation.frameworks._wrapper import Wrapper
from stagelight.instrumentation.frameworks._wrapping import observed

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._journey import Journey
    from stagelight._records import Kind
    from stagelight.instrumentation.frameworks._patches import Patches

_CARRIER: Final = "_stagelight"
#: Journey of the task that this thread or process executes.
_TASK: Final[ContextVar[Journey | None]] = ContextVar("hamilton", default=None)


def _driver(module: Any, patches: Patches) -> None:
    for name in ("execute", "raw_execute", "materialize"):
        patches.around(module.Driver, name, _run)


def _async_driver(module: Any, patches: Patches) -> None:
    patches.around(module.AsyncDriver, "execute", _run)
    patches.before(module.AsyncGraphAdapter, "do_node_execute", _async_node)


def _functions(module: Any, patches: Patches) -> None:
    patches.replace(module, "execute_lifecycle_for_node", _observed_node)


def _grouping(module: Any, patches: Patches) -> None:
    patches.after(module.TaskImplementation, "__init__", _made)


def _executors(module: Any, patches: Patches) -> None:
    patches.replace(module, "base_execute_task", _observed_task)


def _is_traced(adapters: Any) -> bool:
    """Whether Hamilton's own tracer is among a driver's adapters."""
    known = getattr(adapters, "_adapters", ())
    return any(type(one).__name__ == "OpenTelemetryTracer" for one in known)


def _run(driver: Any, _args: Any, _kwargs: Any) -> Call | None:
    if _is_traced(driver.adapter):
        return None
    coroutine = inspect.iscoroutinefunction(type(driver).execute)
    kind: Kind = "coroutine" if coroutine else "call"
    return Call(step("hamilton run", rule="a Hamilton run", kind=kind), None, root())


def _step(node: Any, kind: Kind) -> Step:
    functions = node.originating_functions or (node.callable,)
    return step(
        node.name,
        rule="a Hamilton node",
        source=f"hamilton {node.name}",
        function=qualified(functions[0]),
        kind=kind,
    )


def _observed_node(original: Any) -> Any:
    """Record a node's call; its name is what the framework pickles it by."""

    def observe(_module: Any, args: tuple[Any, ...], kwargs: Any) -> Call | None:
        node = args[0] if args else kwargs["__node_"]
        adapter = args[1] if args[1:] else kwargs["__adapter"]
        if _is_traced(adapter) or _is_async(adapter):
            return None
        return Call(_step(node, "call"), None, part(_TASK.get()))

    inner = observed(original, observe)

    def execute_lifecycle_for_node(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **kwargs)

    return execute_lifecycle_for_node


def _is_async(adapters: Any) -> bool:
    known = getattr(adapters, "_adapters", ())
    return any(type(one).__name__ == "AsyncGraphAdapter" for one in known)


def _async_node(adapter: Any, _args: Any, kwargs: dict[str, Any]) -> None:
    node = kwargs["node_"]
    function = node.callable
    if isinstance(function, Wrapper) or _is_traced(adapter.adapter):
        return
    kind: Kind = "coroutine" if inspect.iscoroutinefunction(function) else "call"
    made = _step(node, kind)
    node._callable = observed(function, lambda *_: Call(made))  # noqa: SLF001


def _made(task: Any, _args: Any, _kwargs: Any, _result: object) -> None:
    setattr(task, _CARRIER, carrier())


def _observed_task(original: Any) -> Any:
    def base_execute_task(task: Any) -> Any:
        token = _TASK.set(continued(getattr(task, _CARRIER, None)))
        try:
            return original(task)
        finally:
            _TASK.reset(token)

    return base_execute_task


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "hamilton.driver": _driver,
    "hamilton.async_driver": _async_driver,
    "hamilton.execution.graph_functions": _functions,
    "hamilton.execution.grouping": _grouping,
    "hamilton.execution.executors": _executors,
}
