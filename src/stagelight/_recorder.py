"""Spans of the SDK, built of deferred ones as if they had ended just now.

Those of the head sample are built here as their call ends: a span of the SDK that lives
all the time costs a multiple. Processors that look at spans as they begin get that one.
"""

from __future__ import annotations

from time import perf_counter_ns as clock
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import (
    Event,
    ReadableSpan,
    SynchronousMultiSpanProcessor,
)
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from stagelight import _names
from stagelight._deferred import UNSET
from stagelight._ids import IDS, fresh_ids
from stagelight._shapes import SHAPES, Shape, is_left_out, shape_of
from stagelight._tracer import TRACER
from stagelight._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._deferred import Deferred

_SAMPLED: Final = trace.TraceFlags(trace.TraceFlags.SAMPLED)
_SCOPE: Final = InstrumentationScope(_names.SCOPE, __version__, _names.SCHEMA_URL)
#: How many attributes, events or links a span may have by default.
_USUAL: Final = 128


class SpanRecorder:
    """Hands sampled spans to the provider's processors, if none sees spans begin."""

    def __init__(self) -> None:
        self._provider: Any = None
        self._seen: Any = None
        self._fits = False
        self._longest: int | None = None
        #: What takes spans that have ended: each processor, or all at once.
        self._takers: tuple[Any, ...] = ()

    def ready(self) -> bool:
        """Whether it can do so with the processors that the provider has now."""
        provider: Any = TRACER.provider or trace.get_tracer_provider()
        active = getattr(provider, "_active_span_processor", None)
        processors: Any = getattr(active, "_span_processors", None)
        if processors is not self._seen or provider is not self._provider:
            self._look(provider, active, processors)
        return self._fits

    def _look(self, provider: Any, active: Any, processors: Any) -> None:
        self._fits = (
            not getattr(provider, "_disabled", False)
            and _late(processors)
            and _counts_as_usual(provider)
        )
        self._longest = length_of(provider)
        plainly = type(active) is SynchronousMultiSpanProcessor
        takers = processors if plainly else [] if active is None else [active]
        self._takers = tuple(takers)
        generator = getattr(provider, "id_generator", None)
        IDS.generator = None if type(generator) is RandomIdGenerator else generator
        self._provider = provider
        # The last: whoever finds this finds the rest.
        self._seen = processors

    def root(
        self, name: str, kind: trace.SpanKind, attributes: dict[str, Any]
    ) -> trace.SpanContext:
        """Export a journey's creation context, which takes no time, and tell its ids.

        Args:
            name: Name of the span.
            kind: Its kind.
            attributes: Its attributes.
        """
        ids = fresh_ids(0, sampled=True)
        now = time_ns()
        provider = self._provider
        if self._longest is not None:
            attributes = _bounded(attributes, provider)
        made = _make(
            name,
            ids,
            None,
            provider.resource,
            attributes,
            (),
            (),
            kind,
            None,
            UNSET,
            now,
            now,
            _SCOPE,
        )
        for taker in self._takers:
            taker.on_end(made)
        return ids

    def record(self, span: Deferred) -> None:
        """Export a sampled span that has ended."""
        self.ready()
        span.exported = True
        shape = shape_of(span.attributes) if SHAPES else None
        if shape is not None and is_left_out(
            shape, span.ended - span.began, span.status
        ):
            return
        made = readable(span, self._provider, self._longest, shape)
        for taker in self._takers:
            taker.on_end(made)


def _late(processors: Any) -> bool:
    """Whether processors look at spans only when they end."""
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    kinds = (SpanProcessor, BatchSpanProcessor, SimpleSpanProcessor)
    return processors is not None and all(
        getattr(type(one), name, None) in {getattr(kind, name, None) for kind in kinds}
        for one in processors
        for name in ("on_start", "_on_ending")
    )


def _counts_as_usual(provider: Any) -> bool:
    """Whether spans may have as many parts as they may by default: we drop none."""
    limits = getattr(provider, "_span_limits", None)
    return all(
        getattr(limits, f"max_{name}", _USUAL) == _USUAL
        for name in (
            "span_attributes",
            "events",
            "links",
            "event_attributes",
            "link_attributes",
        )
    )


def readable(
    span: Deferred, provider: Any, longest: int | None, shape: Shape | None
) -> ReadableSpan:
    """The SDK's form of a deferred span, sampled.

    Args:
        span: A span that has ended.
        provider: The SDK's provider, whose resource and limits it gets.
        longest: How long a text may be in its attributes, None for any.
        shape: What was declared of its stage.
    """
    ids = span.get_span_context()
    if not span.sampled:
        ids = trace.SpanContext(
            ids.trace_id, ids.span_id, is_remote=False, trace_flags=_SAMPLED
        )
    parent = span.parent
    attributes: Any = span.attributes
    if span.touched or longest is not None:
        attributes = _bounded(attributes, provider)
    began = span.began
    # From the monotonic clock to the time since the epoch.
    offset = time_ns() - clock()
    return _make(
        span.name,
        ids,
        parent if parent is not None and parent.is_valid else None,
        provider.resource,
        attributes,
        [_event(*event, provider) for event in span.events] if span.events else (),
        span.links,
        span.kind if shape is None else shape.kind,
        None,
        span.status,
        began + offset,
        max(span.ended, began) + offset,
        _SCOPE,
    )


#: What ``ReadableSpan`` takes, in this order: by name it would cost twice as much.
_PARTS: Final = (
    "name",
    "context",
    "parent",
    "resource",
    "attributes",
    "events",
    "links",
    "kind",
    "instrumentation_info",
    "status",
    "start_time",
    "end_time",
    "instrumentation_scope",
)


def _by_name(*parts: Any) -> ReadableSpan:
    return ReadableSpan(**dict(zip(_PARTS, parts, strict=True)))


_TAKES: Final = ReadableSpan.__init__.__code__.co_varnames[1 : len(_PARTS) + 1]
_make: Final[Callable[..., ReadableSpan]] = (
    ReadableSpan if _TAKES == _PARTS else _by_name
)


def _event(name: str, values: Any, at: int, provider: Any) -> Event:
    limits = getattr(provider, "_span_limits", None)
    length = getattr(limits, "max_attribute_length", None)
    bounded = BoundedAttributes(_USUAL, values, max_value_len=length)
    return Event(name, bounded, at)


def length_of(provider: Any) -> int | None:
    """How long a text may be in a span's attribute, None where it may be any.

    Args:
        provider: The SDK's.
    """
    limits = getattr(provider, "_span_limits", None)
    longest: int | None = getattr(limits, "max_span_attribute_length", None)
    return longest


def _bounded(attributes: Any, provider: Any) -> Any:
    """A span's attributes, checked and cut as in the SDK."""
    limits = getattr(provider, "_span_limits", None)
    return BoundedAttributes(
        getattr(limits, "max_span_attributes", None),
        attributes,
        max_value_len=length_of(provider),
    )
