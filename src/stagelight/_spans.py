"""Spans of observed calls: their parents, attributes, status and exemplars."""

from __future__ import annotations

import contextlib
import threading
from bisect import bisect_left
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace

from stagelight import _names, _outcomes
from stagelight._distribution import BOUNDS, NANOSECONDS, Distribution, Exemplar
from stagelight._journey import Turn, open_journey, unsampled
from stagelight._tracer import TRACER

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

    from opentelemetry.context import Context

    from stagelight._records import StageRecord
    from stagelight._slots import Slot


#: Records a duration by an instrument, where the slots cannot be handed over.
RECORD: Final[list[Callable[[StageRecord, str, str, float], None]]] = []


class Traced:
    """A call's span, and the context token that makes it current."""

    __slots__ = ("context", "span", "token")

    def __init__(self, span: trace.Span, context: Context) -> None:
        self.span = span
        self.context = context
        self.token: Token[Context] | None = None

    def activate(self) -> None:
        """Make the span current."""
        self.token = otel_context.attach(self.context)

    def deactivate(self) -> None:
        """Undo ``activate``; in a foreign context there is nothing to undo."""
        token, self.token = self.token, None
        if token is not None:
            # The public detach logs an error where a coroutine was moved.
            with contextlib.suppress(ValueError):
                otel_context._RUNTIME_CONTEXT.detach(token)  # noqa: SLF001


def start_span(
    name: str,
    parent: Context,
    attributes: dict[str, str | float],
    links: list[trace.Link],
) -> trace.Span:
    """A stage's span: recorded where its parent is, else ids only, so that logs match.

    Args:
        name: Span name.
        parent: Context of the parent.
        attributes: Attributes known at the start, for samplers.
        links: Further events that the call takes.
    """
    above = trace.get_current_span(parent).get_span_context()
    if above.is_valid and not above.trace_flags.sampled and not TRACER.sdk_decides:
        return trace.NonRecordingSpan(unsampled(above.trace_id))
    return TRACER.tracer.start_span(
        name, context=parent, attributes=attributes, links=links
    )


def begin_span(
    slot: Slot, turn: Turn | None, links: list[Turn], *, nested: bool
) -> Traced | None:
    """Start a stage's span under the right parent.

    Nested calls nest. Else a span that the user opened since the fetch is the parent,
    else the journey's creation context, which is made here where it is missing.

    Args:
        slot: This thread's slot of the stage.
        turn: The event that the call is about.
        links: Further events that it takes.
        nested: Whether it belongs to the call around it.
    """
    stage = slot.stage
    parent = otel_context.get_current()
    attributes: dict[str, str | float] = {
        _names.PIPELINE: stage.pipeline.name,
        _names.STAGE: stage.name,
        _names.FUNCTION: stage.function,
    }
    others = [_span_of(link.journey.context) for link in links if link.journey.context]
    if nested:
        if not _span_of(parent).is_valid:
            return None
    elif turn is None:
        return None
    else:
        parent, origin = _parent(turn, parent, stage.pipeline.name)
        if origin is not None:
            others.append(origin)
        if turn.queue:
            attributes[_names.QUEUE] = turn.queue
            attributes[_names.QUEUE_WAIT] = turn.wait / NANOSECONDS
    if links:
        attributes[_names.BATCH_SIZE] = len(links) + 1
    span = start_span(
        stage.span_name, parent, attributes, list(map(trace.Link, others))
    )
    return Traced(span, trace.set_span_in_context(span, parent))


def _span_of(context: Context) -> trace.SpanContext:
    return trace.get_current_span(context).get_span_context()


def _parent(
    turn: Turn, ambient: Context, pipeline: str
) -> tuple[Context, trace.SpanContext | None]:
    """Where an event's span belongs, and the journey to link if that is elsewhere."""
    current = _span_of(ambient)
    opened = current.is_valid and current.span_id != turn.ambient
    journey = turn.journey
    if journey.context is None:
        if opened:
            journey.context = ambient
        else:
            open_journey(journey, pipeline)
        return journey.context or ambient, None
    if not opened:
        return journey.context, None
    origin = _span_of(journey.context)
    return ambient, origin if origin.trace_id != current.trace_id else None


def close(  # noqa: PLR0913, PLR0917
    slot: Slot,
    part: Distribution,
    traced: Traced | None,
    took: int,
    pause: int,
    outcome: str,
    error_type: str,
    event: Any,
    error: BaseException | None,
) -> None:
    """Record a finished call's sample, and end its span, whatever fails in between."""
    try:
        part.record(took)
        for record in RECORD:
            record(slot.stage, outcome, error_type, took / NANOSECONDS)
    finally:
        if traced is not None:
            traced.deactivate()
            if traced.span.is_recording():
                try:
                    _describe(
                        slot,
                        part,
                        traced.span,
                        took,
                        pause,
                        outcome,
                        error_type,
                        event,
                        error,
                    )
                finally:
                    traced.span.end()


def _describe(  # noqa: PLR0913, PLR0917 - as above
    slot: Slot,
    part: Distribution,
    span: trace.Span,
    took: int,
    pause: int,
    outcome: str,
    error_type: str,
    event: Any,
    error: BaseException | None,
) -> None:
    context = span.get_span_context()
    if context.trace_flags.sampled:
        part.exemplars[bisect_left(BOUNDS, took)] = Exemplar(
            took, time_ns(), context.trace_id, context.span_id
        )
    span.set_attribute(_names.OUTCOME, outcome)
    thread = _names.encodable(threading.current_thread().name)
    span.set_attribute(_names.THREAD_NAME, thread)
    if pause:
        span.set_attribute(_names.BLOCKED, pause / NANOSECONDS)
    identifier = _outcomes.event_id(slot.stage, event)
    if identifier is not None:
        span.set_attribute(_names.EVENT_ID, identifier)
    if error is not None and outcome in _names.ERRORS:
        span.set_attribute(_names.ERROR_TYPE, error_type)
        text = _outcomes.message(error)
        span.set_status(trace.Status(trace.StatusCode.ERROR, text))
