"""What was declared of a stage's spans: their kind, and how short ones are left out."""

from __future__ import annotations

from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry import trace

from stagelight import _names

if TYPE_CHECKING:
    from collections.abc import Mapping


class Shape(NamedTuple):
    """What was declared of one stage.

    Attributes:
        kind: Kind of its spans.
        shortest: Nanoseconds below which a span is not exported, unless it failed.
    """

    kind: trace.SpanKind = trace.SpanKind.INTERNAL
    shortest: int = 0


#: Pipeline and stage -> what was declared; mostly nothing.
SHAPES: Final[dict[tuple[object, object], Shape]] = {}


def shape_of(attributes: Mapping[str, Any] | None) -> Shape | None:
    """What was declared of the stage that a span's attributes name.

    Args:
        attributes: The span's.
    """
    if not SHAPES or not attributes:
        return None
    return SHAPES.get((attributes.get(_names.PIPELINE), attributes.get(_names.STAGE)))


def is_left_out(shape: Shape, took: int, status: trace.Status) -> bool:
    """Whether a span was too short to be exported.

    Args:
        shape: What was declared.
        took: Its duration in nanoseconds.
        status: Its status.
    """
    return took < shape.shortest and status.status_code is not trace.StatusCode.ERROR


def shaped(tracer: trace.Tracer) -> trace.Tracer:
    """A tracer of the SDK whose spans are as declared.

    Args:
        tracer: The SDK's.
    """
    return ShapedTracer(tracer) if SHAPES else tracer


class ShapedTracer(trace.Tracer):
    """Starts spans of the declared kinds, and drops those that stay too short."""

    def __init__(self, inner: trace.Tracer) -> None:
        self._inner = inner

    def start_span(self, name: str, *args: Any, **kwargs: Any) -> trace.Span:
        """Start a span of the declared kind."""
        shape = shape_of(kwargs.get("attributes"))
        if shape is None:
            return self._inner.start_span(name, *args, **kwargs)
        kwargs["kind"] = shape.kind
        span = self._inner.start_span(name, *args, **kwargs)
        if shape.shortest and span.is_recording():
            return _Brief(span, shape)
        return span

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """Start a span and make it current; stages never do so."""
        return self._inner.start_as_current_span(*args, **kwargs)


class _Brief(trace.Span):
    """A span that is only ended, and so exported, if it was long enough or failed."""

    def __init__(self, inner: trace.Span, shape: Shape) -> None:
        self._inner = inner
        self._shape = shape
        self._began = clock()
        self._status = trace.Status()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def end(self, end_time: int | None = None) -> None:
        """End the span, or leave it out."""
        if not is_left_out(self._shape, clock() - self._began, self._status):
            self._inner.end(end_time)

    def set_status(self, status: Any, description: str | None = None) -> None:
        """Set its status."""
        self._status = (
            status if isinstance(status, trace.Status) else trace.Status(status)
        )
        self._inner.set_status(status, description)

    def get_span_context(self) -> trace.SpanContext:
        """Its ids."""
        return self._inner.get_span_context()

    def set_attributes(self, attributes: Any) -> None:
        """Set attributes."""
        self._inner.set_attributes(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute."""
        self._inner.set_attribute(key, value)

    def add_event(self, *args: Any, **kwargs: Any) -> None:
        """Add a span event."""
        self._inner.add_event(*args, **kwargs)

    def add_link(self, *args: Any, **kwargs: Any) -> None:
        """Add a link."""
        self._inner.add_link(*args, **kwargs)

    def update_name(self, name: str) -> None:
        """Rename it."""
        self._inner.update_name(name)

    def is_recording(self) -> bool:
        """Whether it records."""
        return self._inner.is_recording()

    def record_exception(self, *args: Any, **kwargs: Any) -> None:
        """Record an exception."""
        self._inner.record_exception(*args, **kwargs)
