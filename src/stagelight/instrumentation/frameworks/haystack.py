"""Haystack: each run of a pipeline, and in it each component.

Where the program has enabled Haystack's own tracing there is nothing to add.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import is_inside, root
from stagelight.instrumentation.frameworks._lazy import Lazy
from stagelight.instrumentation.frameworks._steps import Step, qualified, step
from stagelight.instrumentation.frameworks._wrapper import Wrapper
from stagelight.instrumentation.frameworks._wrapping import suppressed

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._records import Kind
    from stagelight.instrumentation.frameworks._patches import Patches


def _pipelines(module: Any, patches: Patches) -> None:
    kind = module.Pipeline
    patches.around(kind, "run", _run)
    patches.around(kind, "_run_component", _component("call"))
    if hasattr(kind, "_run_component_async"):  # one class for both from 3.0 on
        patches.around(kind, "run_async", _run_async)
        patches.around(kind, "_run_component_async", _component("coroutine"))
        generator = Wrapper(kind.run_async_generator, _generate)
        patches.put(kind, "run_async_generator", generator)


def _is_traced() -> bool:
    tracing: Any = sys.modules.get("haystack.tracing")
    return tracing is not None and bool(tracing.is_tracing_enabled())


def _whole(kind: Kind) -> Step:
    return step("haystack run", rule="a Haystack run", kind=kind)


def _run(_pipeline: Any, _args: Any, _kwargs: Any) -> Call | None:
    return None if _is_traced() else Call(_whole("call"), None, root())


def _run_async(_pipeline: Any, _args: Any, _kwargs: Any) -> Call | None:
    return None if _is_traced() else Call(_whole("coroutine"), None, root())


def _generate(wrapped: Any, _pipeline: Any, args: Any, kwargs: Any) -> Any:
    """Record a run that yields each component's outputs, if the program asks for it."""
    items = wrapped(*args, **kwargs)
    try:
        if suppressed() or is_inside() or _is_traced() or not inspect.isasyncgen(items):
            return items
        return Lazy(_whole("coroutine"), None, root()).over_async(items)
    except Exception as error:  # noqa: BLE001 - never into Haystack
        _guard.caught("framework", error)
        return items


def _component(kind: Kind) -> Callable[[Any, Any, Any], Call | None]:
    def observe(_pipeline: Any, args: tuple[Any, ...], kwargs: Any) -> Call | None:
        if _is_traced():
            return None
        name = args[0] if args else kwargs["component_name"]
        component = args[1] if args[1:] else kwargs["component"]
        instance = component["instance"]
        made = step(
            name,
            rule="a Haystack component",
            source=f"haystack {name}",
            function=f"{qualified(type(instance))}.run",
            kind=kind,
        )
        return Call(made)

    return observe


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "haystack.core.pipeline.pipeline": _pipelines
}
