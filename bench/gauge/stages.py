"""Contestants that observe one synchronous stage: stagelight and the other ways."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from gauge.cases import Case, calls, nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import stagelight
    from gauge.cases import Function

METRICS = "metrics only"
DEFAULT = "default"
EVERY = "every journey"
EVERY_OTLP = "every journey, OTLP encoded"
#: Journeys a second that are sampled at their head.
_JOURNEYS: dict[str, Any] = {DEFAULT: 50, EVERY: "all", EVERY_OTLP: "all"}
#: What stagelight's own points carry.
ATTRIBUTES = {"pipeline": "bench", "stage": "stage", "outcome": "success"}


def stage(event: object) -> object:
    """Do nothing: what is left is the observer."""
    return event


class Providers(NamedTuple):
    """SDK providers; spans go through a real batch processor and are thrown away."""

    tracing: Any
    metering: Any
    reader: Any


def batches(*, encode: bool = False) -> Any:
    """A batch processor whose exporter throws spans away.

    Args:
        encode: Whether they become bytes first, as an OTLP exporter makes them.
    """
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    class Discard(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            if encode:
                encode_spans(spans).SerializeToString()
            return SpanExportResult.SUCCESS

    # The queue is large enough not to log that it is full.
    return BatchSpanProcessor(Discard(), max_queue_size=2**20)


def providers(*, encode: bool = False) -> Providers:
    """Make them.

    Args:
        encode: Whether spans become bytes first.
    """
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider

    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(batches(encode=encode))
    reader = InMemoryMetricReader()
    return Providers(tracing, MeterProvider([reader], shutdown_on_exit=False), reader)


def pipeline(mode: str) -> tuple[stagelight.Pipeline, Callable[[], object]]:
    """A pipeline in one of the modes, and what exports the spans that are due."""
    import stagelight

    if mode == METRICS:
        return stagelight.Pipeline("bench"), nothing
    sdk = providers(encode=mode == EVERY_OTLP)
    return configured(sdk, mode), sdk.tracing.force_flush


def configured(sdk: Providers, mode: str) -> stagelight.Pipeline:
    """A pipeline whose telemetry goes to these providers."""
    from opentelemetry.sdk._logs import LoggerProvider

    import stagelight

    # Nothing but recording would be a load beyond any budget: it must not step down.
    os.environ["STAGELIGHT_COST_BUDGET"] = "0"
    stagelight.configure(
        tracer_provider=sdk.tracing,
        meter_provider=sdk.metering,
        logger_provider=LoggerProvider(shutdown_on_exit=False),
        journeys_per_second=_JOURNEYS[mode],
    )
    return stagelight.Pipeline("bench")


def function(mode: str) -> Case:
    """A function under the decorator."""
    ours, settle = pipeline(mode)
    observed = ours.stage(stage, name="stage")
    return Case(calls(observed, settle), calls(stage))


def processor(mode: str) -> Case:
    """An object with ``.process(event)``."""

    class Stage:
        def process(self, event: object) -> object:
            return event

    ours, settle = pipeline(mode)
    plain = Stage()
    observed = ours.stage(plain)
    # As user code calls it: the attribute is looked up for every event.
    return Case(
        calls(lambda event: observed.process(event), settle),  # noqa: PLW0108
        calls(lambda event: plain.process(event)),  # noqa: PLW0108
    )


def instruments(metering: Any) -> tuple[Any, Any]:
    """What a hand-written observer records with: histogram and counter."""
    meter = metering.get_meter("bench")
    histogram = meter.create_histogram("stage.duration", unit="s")
    counter = meter.create_counter("stage.events", unit="{event}")
    return histogram, counter


def otel_metrics() -> Case:
    """Hand-written OpenTelemetry: ``Histogram.record`` and ``Counter.add``."""
    metering = providers().metering
    histogram, counter = instruments(metering)
    attributes = ATTRIBUTES
    clock = time.perf_counter

    def observed(event: object) -> object:
        start = clock()
        try:
            return stage(event)
        finally:
            histogram.record(clock() - start, attributes)
            counter.add(1, attributes)

    return Case(calls(observed), calls(stage))


def otel_all(*, encode: bool = False) -> Case:
    """Hand-written OpenTelemetry: a recording span, histogram and counter.

    Args:
        encode: Whether spans become bytes first.
    """
    tracing, metering, _ = providers(encode=encode)
    tracer = tracing.get_tracer("bench")
    histogram, counter = instruments(metering)
    attributes = ATTRIBUTES
    clock = time.perf_counter

    def observed(event: object) -> object:
        start = clock()
        with tracer.start_as_current_span("stage", attributes=attributes):
            try:
                return stage(event)
            finally:
                histogram.record(clock() - start, attributes)
                counter.add(1, attributes)

    return Case(calls(observed, tracing.force_flush), calls(stage))


def prometheus() -> Case:
    """prometheus_client: ``Histogram.observe`` and ``Counter.inc``, labels bound."""
    from prometheus_client import Counter, Histogram

    histogram = Histogram("stage_seconds", "d", ["stage"]).labels("stage")
    counter = Counter("stage_events", "d", ["stage"]).labels("stage")
    clock = time.perf_counter

    def observed(event: object) -> object:
        start = clock()
        try:
            return stage(event)
        finally:
            histogram.observe(clock() - start)
            counter.inc()

    return Case(calls(observed), calls(stage))


def prometheus_twins(functions: Sequence[Function]) -> list[Function]:
    """The same for each of several functions, with a label each.

    Args:
        functions: What to observe.
    """
    from prometheus_client import Counter, Histogram

    histogram = Histogram("twin_seconds", "d", ["stage"])
    counter = Counter("twin_events", "d", ["stage"])
    clock = time.perf_counter

    def make(number: int, function: Function) -> Function:
        times, events = histogram.labels(f"{number}"), counter.labels(f"{number}")

        def observed(event: object) -> object:
            start = clock()
            try:
                return function(event)
            finally:
                times.observe(clock() - start)
                events.inc()

        return observed

    return [make(number, one) for number, one in enumerate(functions)]


def logfire(*, extract_args: bool = True) -> Case:
    """``logfire.instrument``: a span a call, through a batch processor as above.

    Args:
        extract_args: As by its default, the call's arguments become attributes.
    """
    import logfire

    logfire.configure(
        send_to_logfire=False,
        console=False,
        inspect_arguments=False,
        metrics=False,
        additional_span_processors=[batches()],
    )
    observed = logfire.instrument("stage", extract_args=extract_args)(stage)
    return Case(calls(observed, logfire.force_flush), calls(stage))
