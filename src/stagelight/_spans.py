"""Spans of observed calls: their parents, attributes, status and exemplars."""

from __future__ import annotations

import threading
from bisect import bisect_left
from time import perf_counter_ns as clock
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace.propagation import _SPAN_KEY

from stagelight import _names, _outcomes
from stagelight._cells import BOUNDS, NANOSECONDS
from stagelight._current import POSSIBLE
from stagelight._deferred import (
    Deferred,
    may_record,
    remember,
    rescue,
    stage_attributes,
    within,
)
from stagelight._distribution import Distribution, Exemplar
from stagelight._journey import Journey, Turn, open_journey
from stagelight._traced import Promised, Traced
from stagelight._tracer import TRACER, is_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    from stagelight._records import StageRecord
    from stagelight._slots import Slot

#: Records a duration by an instrument, where the slots cannot be handed over.
RECORD: Final[list[Callable[[StageRecord, str, str, float], None]]] = []


def _is_quiet(turn: Turn, ambient: Context, links: list[Turn]) -> bool:
    """Whether a turn's journey is outside of the head sample, and nobody adds to it."""
    journey = turn.journey
    if ambient or links or journey.ambient or not POSSIBLE or TRACER.sdk_decides:
        return False
    if not journey.quiet:
        if journey.context is not None or TRACER.due <= clock():
            return False
        journey.quiet = True
    return True


def start_span(
    name: str,
    parent: Context,
    attributes: dict[str, Any],
    links: list[trace.Link],
    journey: Journey | None = None,
) -> trace.Span:
    """A stage's span: recorded where its parent is, else deferred, so that logs match.

    Args:
        name: Span name.
        parent: Context of the parent.
        attributes: Attributes known at the start, for samplers.
        links: Further events that the call takes.
        journey: The event's journey; by default that of a deferred parent.
    """
    span = _span_in(parent)
    above = span.get_span_context()
    context = None
    ours = above.trace_flags.sampled and not TRACER.sdk_decides and may_record()
    if not ours and (
        not above.is_valid or above.trace_flags.sampled or TRACER.sdk_decides
    ):
        made = TRACER.tracer.start_span(
            name, context=parent, attributes=attributes, links=links
        )
        context = made.get_span_context()
        if context.trace_flags.sampled or not context.is_valid:
            return made
    if not ours and journey is None and isinstance(span, Deferred):
        journey = span.journey
    return Deferred(
        name,
        above.trace_id,
        began=clock(),
        parent=above,
        attributes=attributes,
        links=links,
        journey=journey,
        context=context,
        sampled=ours,
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
    if not nested and turn is not None and _is_quiet(turn, parent, links):
        return Promised(slot, turn)
    attributes = stage_attributes(stage)
    journey = None
    others: list[trace.SpanContext] = []
    if links:
        attributes[_names.BATCH_SIZE] = len(links) + 1
        others += [
            _span_of(link.journey.context) for link in links if link.journey.context
        ]
    if nested:
        if not _span_of(parent).is_valid:
            return None
    elif turn is None:
        return None
    else:
        journey = turn.journey
        parent, origin = _parent(turn, parent, stage.pipeline.name)
        if origin is not None:
            others.append(origin)
        if turn.queue:
            attributes[_names.QUEUE] = turn.queue
            attributes[_names.QUEUE_WAIT] = turn.wait / NANOSECONDS
    made = list(map(trace.Link, others)) if others else []
    span = start_span(stage.span_name, parent, attributes, made, journey)
    return Traced(span, within(span, parent))


def _span_in(context: Context) -> trace.Span:
    """The span of a context, as ``get_current_span`` finds it, only sooner."""
    span = context.get(_SPAN_KEY)
    if type(span) is trace.NonRecordingSpan or type(span) is Deferred:
        return span
    return trace.get_current_span(context)


def _span_of(context: Context) -> trace.SpanContext:
    return _span_in(context).get_span_context()


def _parent(
    turn: Turn, ambient: Context, pipeline: str
) -> tuple[Context, trace.SpanContext | None]:
    """Where an event's span belongs, and the journey to link if that is elsewhere."""
    journey = turn.journey
    if not ambient:
        if journey.context is None:
            open_journey(journey, pipeline)
        return journey.context or ambient, None
    span = trace.get_current_span(ambient)
    current = span.get_span_context()
    opened = current.is_valid and current.span_id != turn.ambient
    # A thread or task may outlive the span in which it was started.
    late = current if opened and is_over(span) else None
    opened = opened and late is None
    if opened and current.trace_flags.sampled:
        TRACER.followed = True
    if journey.context is None:
        if opened:
            journey.context = ambient
        else:
            open_journey(journey, pipeline)
        return journey.context or ambient, late
    if not opened:
        known = _span_of(journey.context).trace_id
        return journey.context, None if late and late.trace_id == known else late
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
            if not traced.keep(took, outcome):
                span = traced.span
                if isinstance(span, Deferred) and not span.sampled:
                    _defer(slot, span, took, pause, outcome, error_type, event, error)
                elif span.is_recording():
                    try:
                        _point(part, took, span.get_span_context())
                        describe(slot, span, pause, outcome, error_type, event, error)
                    finally:
                        span.end()
                        if isinstance(span, Deferred):
                            journey, began = span.journey, span.began
                            remember(journey, slot.stage, began, span.ended, span)


def _point(part: Distribution, took: int, context: trace.SpanContext) -> None:
    """Let the bucket of a sampled call's duration point at its span."""
    if context.trace_flags.sampled:
        found = Exemplar(took, time_ns(), context.trace_id, context.span_id)
        part.exemplars[bisect_left(BOUNDS, took)] = found


def _defer(  # noqa: PLR0913, PLR0917 - as above
    slot: Slot,
    span: Deferred,
    took: int,
    pause: int,
    outcome: str,
    error_type: str,
    event: Any,
    error: BaseException | None,
) -> None:
    """Hold a deferred span for its journey, or export both if this call matters."""
    journey = span.journey
    if journey is None:
        span.end()
        return
    why = "failure" if outcome in _names.ERRORS else "slow" if took > slot.slow else ""
    if why or journey.rescued:
        describe(slot, span, pause, outcome, error_type, event, error)
    span.end()
    remember(journey, slot.stage, span.began, span.ended, span)
    rescue(journey, why)


def describe(  # noqa: PLR0913, PLR0917 - as above
    slot: Slot,
    span: trace.Span,
    pause: int,
    outcome: str,
    error_type: str,
    event: Any,
    error: BaseException | None,
) -> None:
    """Say on a span how its call went."""
    thread = _names.encodable(threading.current_thread().name)
    said: dict[str, Any]
    if isinstance(span, Deferred):
        said = span.attributes = span.attributes or {}
    else:
        said = {}
    said[_names.OUTCOME] = outcome
    said[_names.THREAD_NAME] = thread
    if pause:
        said[_names.BLOCKED] = pause / NANOSECONDS
    identifier = _outcomes.event_id(slot.stage, event)
    if identifier is not None:
        said[_names.EVENT_ID] = identifier
    failed = error is not None and outcome in _names.ERRORS
    if failed:
        said[_names.ERROR_TYPE] = error_type
    if not isinstance(span, Deferred):
        span.set_attributes(said)
    if failed and error is not None:
        text = _outcomes.message(error)
        span.set_status(trace.Status(trace.StatusCode.ERROR, text))
