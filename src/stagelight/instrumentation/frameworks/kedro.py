"""Kedro: a run, and in it each node, whichever runner has it.

``Task`` is made where the run is, and executed there, in a thread or in another process
(which gets it pickled): it carries the run's trace context as one more attribute.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import (
    carrier,
    continued,
    part,
    root,
)
from stagelight.instrumentation.frameworks._spans import add_to_span
from stagelight.instrumentation.frameworks._steps import qualified, step

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight.instrumentation.frameworks._patches import Patches

_CARRIER: Final = "_stagelight"


def _runner(module: Any, patches: Patches) -> None:
    patches.around(module.AbstractRunner, "run", _run)


def _task(module: Any, patches: Patches) -> None:
    patches.after(module.Task, "__init__", _made)
    patches.around(module.Task, "execute", _node)


def _catalog(module: Any, patches: Patches) -> None:
    patches.timed(module.DataCatalog, "load", _timed("stagelight.load.duration"))
    patches.timed(module.DataCatalog, "save", _timed("stagelight.save.duration"))


def _run(runner: Any, _args: Any, _kwargs: Any) -> Call:
    made = step(
        "kedro run", rule="a Kedro run", function=f"{qualified(type(runner))}.run"
    )
    return Call(made, None, root())


def _made(task: Any, _args: Any, _kwargs: Any, _result: object) -> None:
    setattr(task, _CARRIER, carrier())


def _node(task: Any, _args: Any, _kwargs: Any) -> Call:
    node = task.node
    made = step(
        node.name,
        rule="a Kedro node",
        source=f"kedro node {node.name}",
        function=qualified(node.func),
    )
    return Call(made, None, part(continued(getattr(task, _CARRIER, None))))


def _timed(name: str) -> Callable[[float], None]:
    def tell(began: float) -> None:
        add_to_span(name, perf_counter() - began)

    return tell


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "kedro.runner.runner": _runner,
    "kedro.runner.task": _task,
    "kedro.io.data_catalog": _catalog,
}
