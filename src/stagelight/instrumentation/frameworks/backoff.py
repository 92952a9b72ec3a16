"""backoff: its handlers are called by one function, in decorators made earlier too."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from stagelight.instrumentation.frameworks._attempts import given_up, retrying

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from stagelight.instrumentation.frameworks._patches import Patches


def _install(module: Any, patches: Patches) -> None:
    patches.before(module, "_call_handlers", _look)


def _look(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    error = kwargs.get("exception")
    failed = int(kwargs["tries"])
    if "wait" in kwargs:
        retrying("backoff", failed=failed, wait=float(kwargs["wait"]), error=error)
    elif error is not None or _is_give_up(args[0] if args else None):
        given_up("backoff", failed=failed, error=error)


def _is_give_up(handlers: object) -> bool:
    """Whether a predicate's handlers are those for a give-up: only its caller knows."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - no other way
    while frame is not None and "on_giveup" not in frame.f_code.co_freevars:
        frame = frame.f_back
    return frame is not None and frame.f_locals.get("on_giveup") is handlers


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "backoff._sync": _install,
    "backoff._async": _install,
}
