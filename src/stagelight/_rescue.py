"""Spans of the SDK, built of deferred ones.

Rescue exports the journeys that turned out to matter with the ids their logs carry: a
failed call, or one far slower than its like, has a deferred span, and so have the
earlier stages of its journey that are still held. Here spans of the SDK are built of
them and handed to the processors of the provider as if they had ended just now.
"""

from __future__ import annotations

import os
from time import perf_counter_ns as clock
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from stagelight import _names
from stagelight._deferred import IDS, RECORDERS, RESCUERS
from stagelight._shapes import is_left_out, shape_of
from stagelight._tracer import TRACER, Budget
from stagelight._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stagelight._deferred import Deferred
    from stagelight._journey import Journey

_SAMPLED: Final = trace.TraceFlags(trace.TraceFlags.SAMPLED)
_SCOPE: Final = InstrumentationScope(_names.SCOPE, __version__, _names.SCHEMA_URL)
#: Seconds of unused budget that a burst of failures may use up.
_BURST: Final = 10.0
#: Slow journeys are rescued at this share of the rate for failed ones.
_SLOW_SHARE: Final = 0.05
#: With these the user wants no span at all.
_OFF: Final = frozenset({"always_off", "parentbased_always_off"})


class Rescuer:
    """Exports rescued journeys, so many a second.

    Args:
        per_second: Journeys with a failure; of slow ones a twentieth. None for all.
    """

    def __init__(self, per_second: float | None) -> None:
        self._budgets: dict[str, Budget | None] = {"failure": None, "slow": None}
        if per_second is not None:
            self._budgets["failure"] = Budget(per_second, _BURST)
            self._budgets["slow"] = Budget(per_second * _SLOW_SHARE, _BURST)

    def __call__(self, journey: Journey, spans: Sequence[Deferred], why: str) -> None:
        """Export a journey's spans, if the budget allows.

        Args:
            journey: The journey.
            spans: Those of its spans that were not exported yet.
            why: ``failure`` or ``slow``; empty where it is rescued already.
        """
        provider: Any = TRACER.provider or trace.get_tracer_provider()
        processor = getattr(provider, "_active_span_processor", None)
        if processor is None or not spans:
            return
        if not journey.rescued:
            budget = self._budgets[why]
            if budget is not None and not budget.take(clock()):
                return
            journey.rescued = True
        offset = time_ns() - clock()
        for span in spans:
            span.exported = True
            span.attributes = {
                **(span.attributes or {}),
                _names.RESCUED: why or "failure",
            }
            processor.on_end(_readable(span, provider, offset))

    def renew(self) -> None:
        """Give a forked child locks of its own."""
        self._budgets = {
            why: None if budget is None else budget.renewed()
            for why, budget in self._budgets.items()
        }


class SpanRecorder:
    """Hands sampled spans to the provider's processors, if none sees spans begin."""

    def __init__(self) -> None:
        self._seen: object = None
        self._fits = False

    def ready(self) -> bool:
        """Whether it can do so with the processors that the provider has now."""
        provider: Any = TRACER.provider or trace.get_tracer_provider()
        active = getattr(provider, "_active_span_processor", None)
        processors = getattr(active, "_span_processors", None)
        if processors is not self._seen:
            self._seen = processors
            self._fits = not getattr(provider, "_disabled", False) and _late(processors)
            generator = getattr(provider, "id_generator", None)
            plain = type(generator) is RandomIdGenerator
            IDS.generator = None if plain else generator
        return self._fits

    def record(self, span: Deferred) -> None:
        """Export a sampled span that has ended."""
        provider: Any = TRACER.provider or trace.get_tracer_provider()
        processor = getattr(provider, "_active_span_processor", None)
        if processor is not None:
            span.exported = True
            shape = shape_of(span.attributes)
            took = span.ended - span.began
            if shape is None or not is_left_out(shape, took, span.status):
                processor.on_end(_readable(span, provider, time_ns() - clock()))


def _late(processors: Any) -> bool:
    """Whether processors look at spans only when they end."""
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    kinds = (SpanProcessor, BatchSpanProcessor, SimpleSpanProcessor)
    known = {kind.on_start for kind in kinds}
    return processors is not None and all(
        type(one).on_start in known for one in processors
    )


def _readable(span: Deferred, provider: Any, offset: int) -> ReadableSpan:
    """The SDK's form of a deferred span, sampled.

    Args:
        span: A span that has ended.
        provider: The SDK's provider, whose resource and limits it gets.
        offset: From the monotonic clock to the time since the epoch.
    """
    ids = span.get_span_context()
    if not span.sampled:
        ids = trace.SpanContext(
            ids.trace_id, ids.span_id, is_remote=False, trace_flags=_SAMPLED
        )
    parent = span.parent
    shape = shape_of(span.attributes)
    return ReadableSpan(
        name=span.name,
        context=ids,
        parent=parent if parent is not None and parent.is_valid else None,
        resource=provider.resource,
        attributes=_limited(span, provider),
        events=[
            Event(name, BoundedAttributes(attributes=values), at)
            for name, values, at in span.events
        ],
        links=span.links,
        kind=span.kind if shape is None else shape.kind,
        status=span.status,
        start_time=span.began + offset,
        end_time=max(span.ended, span.began) + offset,
        instrumentation_scope=_SCOPE,
    )


def _limited(span: Deferred, provider: Any) -> Any:
    """A span's attributes; those of user code are checked and cut as in the SDK."""
    limits = getattr(provider, "_span_limits", None)
    length = getattr(limits, "max_span_attribute_length", None)
    if not span.touched and length is None:
        return span.attributes
    return BoundedAttributes(
        getattr(limits, "max_span_attributes", None),
        span.attributes,
        max_value_len=length,
    )


def install(per_second: float | None) -> None:
    """Rescue journeys from now on.

    Args:
        per_second: Failed journeys a second; None for all, 0 for none.
    """
    sampler = os.environ.get("OTEL_TRACES_SAMPLER", "").strip()
    off = sampler in _OFF or per_second == 0
    RESCUERS[:] = [] if off else [Rescuer(per_second)]
    RECORDERS[:] = [SpanRecorder()]


def _after_fork() -> None:
    for rescuer in RESCUERS:
        if isinstance(rescuer, Rescuer):
            rescuer.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
