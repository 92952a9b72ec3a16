"""A call's span while the call is open: made, or only promised."""

from __future__ import annotations

from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Final

from opentelemetry import context as otel_context
from opentelemetry import trace

from stagelight import _names
from stagelight._current import CURRENT, POSSIBLE
from stagelight._deferred import remember
from stagelight._quiet import UNSHARED, Quiet, references

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

    from opentelemetry.context import Context

    from stagelight._journey import Turn
    from stagelight._slots import Slot


_detach: Final[Callable[[Token[Context]], None]] = (
    CURRENT.reset if POSSIBLE else otel_context._RUNTIME_CONTEXT.detach  # noqa: SLF001
)


class Traced:
    """A call's span, and the context token that makes it current."""

    __slots__ = ("context", "span", "token")

    def __init__(self, span: trace.Span, context: Context) -> None:
        self.span = span
        self.context = context
        self.token: Token[Context] | None = None

    def activate(self) -> None:
        """Make the span current."""
        if POSSIBLE:
            self.token = CURRENT.set(self.context)
        else:
            self.token = otel_context.attach(self.context)

    def deactivate(self) -> None:
        """Undo ``activate``; in a foreign context there is nothing to undo."""
        token, self.token = self.token, None
        if token is not None:
            # The public detach logs an error where a coroutine was moved.
            try:  # noqa: SIM105 - for each event
                _detach(token)
            except ValueError:
                pass

    def keep(self, took: int, outcome: str) -> bool:  # noqa: ARG002 - as below
        """Whether its span is not needed."""
        return False


class Promised(Traced):
    """A call outside of the head sample, whose span nobody has asked for yet."""

    __slots__ = ("quiet",)

    def __init__(self, slot: Slot, turn: Turn) -> None:
        self.quiet = self.context = Quiet(slot, turn, clock())
        self.token = None

    @classmethod
    def made(cls, quiet: Quiet, token: Token[Context]) -> Promised:
        """That of a call which runs in its context already.

        Args:
            quiet: The context.
            token: What makes it current no more.
        """
        promised = cls.__new__(cls)
        promised.quiet = promised.context = quiet
        promised.token = token
        return promised

    @property
    def span(self) -> trace.Span:  # type: ignore[override]
        """The span, which is made by looking at it."""
        return self.quiet.reveal() or trace.INVALID_SPAN

    def keep(self, took: int, outcome: str) -> bool:
        """Hold the call for its journey; False where its span is needed.

        Args:
            took: Its duration in nanoseconds.
            outcome: Its outcome.
        """
        quiet = self.quiet
        slot, turn = quiet.slot, quiet.turn
        if (
            slot is None
            or turn is None
            or quiet.span is not None
            or outcome in _names.ERRORS
            or took > slot.slow
            or turn.journey.rescued
            or references(quiet) > UNSHARED + 1
        ):
            return False
        remember(turn.journey, slot.stage, quiet.began, clock())
        return True
