"""OpenTelemetry's own context variable, and what an asyncio task works on beside it."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context

if TYPE_CHECKING:
    from stagelight._journey import Turn

_VARIABLE: Final = getattr(otel_context._RUNTIME_CONTEXT, "_current_context", None)  # noqa: SLF001
#: Whether OpenTelemetry keeps its context where we can set one without a call of its.
POSSIBLE: Final = isinstance(_VARIABLE, ContextVar)
CURRENT: Final[ContextVar[Context]] = (
    _VARIABLE if isinstance(_VARIABLE, ContextVar) else ContextVar("stagelight_none")
)


class Rested(Context):
    """The empty context that a task's light call leaves behind, with the call's turn.

    A light call in C sets and resets the current context anyway. So it can leave its
    turn there for nothing, where a second variable would cost as much again.

    Attributes:
        turn: The turn of the task's last call.
    """

    __slots__ = ("turn",)

    turn: Turn

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copy and pickle as the empty context that it is."""
        return Context, ()


class TurnVariable:
    """The turn of an asyncio task, as a context variable; threads have ``Worker``."""

    def __init__(self) -> None:
        self.variable: ContextVar[Turn | Rested | None] = ContextVar(
            "stagelight_turn", default=None
        )

    def get(self) -> Turn | None:
        """The turn of the running task."""
        held = self.variable.get()
        return held.turn if isinstance(held, Rested) else held

    def set(self, turn: Turn | None) -> Token[Turn | Rested | None]:
        """Make a turn that of the running task.

        Args:
            turn: The turn, or None for none.
        """
        return self.variable.set(turn)
