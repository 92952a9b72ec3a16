"""Deferred spans: spans that cost little until it is known whether they are exported.

Outside of the head sample they have ids, so that logs correlate and child
instrumentations see a valid, unsampled parent; what user code sets on them is kept.
Only where the call turns out to matter is a span of the SDK built of one and exported
with these very ids (rescue). Inside of the head sample it is built as the call ends: a
third of the price of a span of the SDK that lives all the time.
"""

from __future__ import annotations

from time import perf_counter_ns as clock
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, Protocol

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation import _SPAN_KEY

from stagelight import _names
from stagelight._ids import fresh_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.util.types import Attributes, AttributeValue

    from stagelight._journey import Journey
    from stagelight._records import StageRecord

#: Take a journey, its spans that were not exported yet, and why; empty where nobody
#: rescues.
RESCUERS: Final[list[Callable[[Journey, Sequence[Deferred], str], None]]] = []
UNSET: Final = trace.Status(trace.StatusCode.UNSET)
#: Stages of one journey that are held for its rescue.
_HELD: Final = 64


class Recorder(Protocol):
    """Builds spans of the SDK of sampled ones."""

    def ready(self) -> bool:
        """Whether it can do so now; else the SDK's own spans must be used."""

    def root(
        self, name: str, kind: trace.SpanKind, attributes: dict[str, Any]
    ) -> trace.SpanContext:
        """Export a journey's creation context, where ``ready``, and tell its ids."""

    def record(self, span: Deferred) -> None:
        """Export a sampled span that has ended."""


#: At most one.
RECORDERS: Final[list[Recorder]] = []
#: The SDK's own limit for attributes and events of a span.
_MOST: Final = 128


class Deferred(trace.Span):
    """A span that is built only if it is rescued.

    Attributes:
        name: Name of the span.
        kind: Its kind.
        parent: Its parent's context, or None.
        began: Clock at its start.
        ended: Clock at its end, 0 while it is open.
        attributes: What was set on it, None before anything was.
        events: Name, attributes and time of what was added to it.
        links: Links.
        status: Its status.
        journey: The journey that it belongs to, or None for a user's own trace.
        exported: Whether it was exported.
        sampled: Whether it belongs to the head sample.
        touched: Whether user code set something on it.
    """

    # Defaults of the class cost nothing, and most of it never changes.
    ended = 0
    exported = False
    touched = False
    sampled = False
    journey: Journey | None = None
    events: Sequence[tuple[str, Attributes, int]] = ()
    links: Sequence[trace.Link] = ()
    status: trace.Status = UNSET

    def __init__(  # noqa: PLR0913 - keyword only
        self,
        name: str,
        trace_id: int,
        *,
        began: int,
        parent: trace.SpanContext | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: dict[str, Any] | None = None,
        links: Sequence[trace.Link] = (),
        journey: Journey | None = None,
        context: trace.SpanContext | None = None,
        sampled: bool = False,
    ) -> None:
        self._context = context or fresh_ids(trace_id, sampled=sampled)
        self.name = name
        self.kind = kind
        self.parent = parent
        self.began = began
        self.attributes = attributes
        if sampled:
            self.sampled = True
        if links:
            self.links = links
        if journey is not None:
            self.journey = journey

    def get_span_context(self) -> trace.SpanContext:
        """Its ids."""
        return self._context

    def is_recording(self) -> bool:
        """Whether what is set on it may be exported."""
        return (self.sampled or bool(RESCUERS)) and not self.ended

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Keep attributes for a rescue."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Keep an attribute for a rescue."""
        if not self.is_recording():
            return
        self.touched = True
        if self.attributes is None:
            self.attributes = {}
        if key in self.attributes or len(self.attributes) < _MOST:
            self.attributes[key] = value

    def add_event(
        self,
        name: str,
        attributes: Attributes = None,
        timestamp: int | None = None,
    ) -> None:
        """Keep a span event for a rescue."""
        if self.is_recording() and len(self.events) < _MOST:
            event = (name, attributes, timestamp or time_ns())
            self.events = [*self.events, event]

    def add_link(
        self, context: trace.SpanContext, attributes: Attributes = None
    ) -> None:
        """Keep a link for a rescue."""
        if self.is_recording() and len(self.links) < _MOST:
            self.links = [*self.links, trace.Link(context, attributes)]

    def update_name(self, name: str) -> None:
        """Rename it."""
        if self.is_recording():
            self.name = name

    def set_status(
        self, status: trace.Status | trace.StatusCode, description: str | None = None
    ) -> None:
        """Keep a status for a rescue; as in the SDK, OK is final."""
        if not self.is_recording() or self.status.status_code is trace.StatusCode.OK:
            return
        if not isinstance(status, trace.Status):
            status = trace.Status(status, description)
        if status.status_code is not trace.StatusCode.UNSET:
            self.status = status

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 - OpenTelemetry's signature
    ) -> None:
        """Keep an exception as a span event for a rescue."""
        if not self.is_recording():
            return
        import traceback

        kind = type(exception)
        plain = kind.__module__ in {"builtins", None}
        name = kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"
        text = "".join(
            traceback.format_exception(kind, exception, exception.__traceback__)
        )
        self.add_event(
            "exception",
            {
                "exception.type": name,
                "exception.message": str(exception),
                "exception.stacktrace": text,
                "exception.escaped": str(escaped),
                **(attributes or {}),
            },
            timestamp,
        )

    def end(self, end_time: int | None = None) -> None:  # noqa: ARG002 - as the API has it
        """Note that it is over."""
        if not self.ended:
            self.ended = clock()
            if self.sampled:
                for recorder in RECORDERS:
                    recorder.record(self)


def may_record() -> bool:
    """Whether sampled spans need not be the SDK's own."""
    return bool(RECORDERS) and RECORDERS[0].ready()


def within(span: trace.Span, ambient: Context | None) -> Context:
    """A context with a span in it: ``set_span_in_context`` at half its price.

    Args:
        span: The span.
        ambient: What else is in the context; by default what is current.
    """
    context = Context(otel_context.get_current() if ambient is None else ambient)
    dict.__setitem__(context, _SPAN_KEY, span)
    return context


def stage_attributes(stage: StageRecord) -> dict[str, Any]:
    """What every span of a stage says.

    Args:
        stage: The stage.
    """
    return {
        _names.PIPELINE: stage.pipeline.name,
        _names.STAGE: stage.name,
        _names.FUNCTION: stage.code,
    }


def remember(
    journey: Journey | None,
    stage: StageRecord,
    began: int,
    ended: int,
    span: Deferred | None = None,
) -> None:
    """Hold a finished stage of a journey, in case that a later one fails.

    Args:
        journey: The journey, None where it is not known.
        stage: The stage.
        began: Clock at its start.
        ended: Clock at its end.
        span: Its span, where somebody looked at it.
    """
    if not RESCUERS or journey is None:
        return
    if journey.done is None:
        journey.done = []
    if len(journey.done) < _HELD:
        journey.done.append((stage, began, ended, span))


def rescue(journey: Journey, why: str) -> None:
    """Export what is held of a journey that turned out to matter.

    Args:
        journey: The journey; its creation context is known.
        why: ``failure`` or ``slow``; empty to only add to what is exported already.
    """
    if not RESCUERS or not (why or journey.rescued):
        return
    above = trace.get_current_span(journey.context).get_span_context()
    spans = [] if journey.root is None else [journey.root]
    held = journey.done or []
    for number, (stage, began, ended, span) in enumerate(held):
        if span is None:
            span = Deferred(  # noqa: PLW2901 - its ids must be the same next time
                stage.span_name,
                above.trace_id,
                began=began,
                parent=above,
                attributes=stage_attributes(stage),
                journey=journey,
            )
            span.ended = ended
            held[number] = (stage, began, ended, span)
        spans.append(span)
    fresh = [span for span in spans if not span.exported]
    for tell in RESCUERS:
        tell(journey, fresh, why)
