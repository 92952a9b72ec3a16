"""Spans of failures, made when they happen, where nothing else is traced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry import trace

from stagelight._journey import Journey, Turn
from stagelight._traced import Promised

if TYPE_CHECKING:
    from stagelight._slots import Slot


def begin_late(slot: Slot, turn: Turn | None, began: int) -> Promised:
    """The span of a call that failed, where nothing else has one.

    Args:
        slot: Slot of its stage.
        turn: The event that it was about, or None.
        began: Clock at its start.
    """
    if turn is None:
        turn = Turn(0, Journey(began), slot.stage.pipeline, None)
    journey = turn.journey
    current = otel_context.get_current()
    opened = trace.get_current_span(current).get_span_context().is_valid
    if opened and journey.context is None and turn.queue is None:
        journey.context = current
    journey.quiet = True
    traced = Promised(slot, turn)
    traced.quiet.began = began
    return traced
