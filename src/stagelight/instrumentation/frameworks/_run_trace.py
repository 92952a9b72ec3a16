"""One trace for a framework's run, however many events pass through it.

A run that lasts has more events than any store wants spans of. So they share a trace
and a root, and the head sample is drawn for each of them: the budget bounds what a
second exports, ``spans_per_trace`` what a trace grows to. A run that outgrows it goes
on in a further trace, linked to the one before.
"""

from __future__ import annotations

from time import perf_counter_ns as clock
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry import trace

from stagelight._distribution import NEVER
from stagelight._journey import Journey, open_journey
from stagelight._tracer import TRACER
from stagelight.instrumentation._ledger import LEDGER
from stagelight.instrumentation.frameworks._delivery import here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context

    from stagelight._deferred import Deferred


class _Trace:
    """One trace of a run.

    Attributes:
        root: Its root span, where it waits for something to be rescued.
        spans: How many calls were exported in it, about.
    """

    def __init__(self, journey: Journey, ambient: Context | None) -> None:
        self._ambient = ambient
        self._sampled = journey.context
        self._quiet = journey.quiet
        self.root: Deferred | None = journey.root
        self.spans = 0

    @property
    def is_known(self) -> bool:
        """Whether it has ids."""
        return self._sampled is not None

    @property
    def place(self) -> trace.SpanContext:
        """Ids of its root."""
        return trace.get_current_span(self._sampled).get_span_context()

    def part(self, began: int, *, own: bool) -> Part:
        """The journey of one event in it.

        Args:
            began: Clock at its begin.
            own: Whether the trace is ours, and not that of a span of the program's.
        """
        part = Part(began)
        part.trace = self
        if self._sampled is None:
            return part
        part.context = self._sampled
        if self._ambient:
            part.ambient = self._ambient
        part.root = self.root
        if self._quiet:
            part.quiet = True
        elif own and not TRACER.samples(clock()):
            part.quiet = True
            place = self.place
            unsampled = trace.SpanContext(
                place.trace_id, place.span_id, is_remote=False
            )
            part.context = trace.set_span_in_context(
                trace.NonRecordingSpan(unsampled), self._sampled
            )
        return part


class Part(Journey):
    """The journey of one event of a run.

    Attributes:
        trace: The run's trace that it is in.
    """

    trace: _Trace


class RunTrace:
    """The trace of a run, and those that follow where it grows too large."""

    def __init__(self) -> None:
        begin = here()
        self._ambient = begin.ambient
        self._own = begin.context is None
        self._trace = _Trace(begin, begin.ambient)

    def journey(self, began: int | None = None) -> Part:
        """The journey of an event that enters.

        Args:
            began: Clock when it did; by default now.
        """
        current = self._trace
        if TRACER.on and (not current.is_known or _is_full(current)):
            current = self._trace = self._open(current)
        return current.part(began or clock(), own=self._own)

    def going_on(self, journey: Journey) -> Journey:
        """The journey of what comes of an event: its own, unless that is full.

        Args:
            journey: That of the event.
        """
        if isinstance(journey, Part) and _is_full(journey.trace):
            return self.journey()
        return journey

    def _open(self, before: _Trace) -> _Trace:
        links: Sequence[trace.Link] = ()
        if before.is_known:
            links = [trace.Link(before.place)]
        self._own = True
        journey = Journey(clock(), None, self._ambient or otel_context.Context())
        budget = TRACER.budget
        granted = budget is None or budget.due != NEVER
        open_journey(journey, LEDGER.pipeline.name, links=links, sampled=granted)
        return _Trace(journey, self._ambient)


def exported(journey: Journey | None) -> None:
    """Note that a call of a journey has ended, for the size of its trace.

    Args:
        journey: The call's.
    """
    if isinstance(journey, Part) and (not journey.quiet or journey.rescued):
        journey.trace.spans += 1


def _is_full(trace_: _Trace) -> bool:
    most = LEDGER.settings.spans_per_trace
    return most != "all" and trace_.spans >= most
