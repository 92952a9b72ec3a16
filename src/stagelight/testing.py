"""Capture what a pipeline emits, as plain data, in a test of yours.

::

    with stagelight.testing.capture() as telemetry:
        pipeline.run()
    assert telemetry.spans("process parse")[0]["attributes"]["error.type"] == ...

While it captures, every journey is sampled, and an error inside stagelight itself is
raised instead of being counted.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs import export as log_export
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from stagelight import _guard, _logs, _setup
from stagelight._providers import PROVIDERS
from stagelight._registry import REGISTRY
from stagelight._tracer import TRACER

if TYPE_CHECKING:
    from collections.abc import Iterator

# Renamed in the SDK; the older name is gone in newer ones.
_InMemoryLogs: Any = vars(log_export).get("InMemoryLogRecordExporter") or vars(
    log_export
).get("InMemoryLogExporter")


class Captured:
    """What was captured so far.

    Attributes:
        tracer_provider: The SDK provider that records the spans.
        meter_provider: The SDK provider whose reader collects the metrics.
        logger_provider: The SDK provider that records the logs.
    """

    def __init__(self, readers: list[Any]) -> None:
        self._spans = InMemorySpanExporter()
        self._logs = _InMemoryLogs()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meter_provider = MeterProvider(
            [self._reader, *readers], shutdown_on_exit=False
        )
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(
            SimpleLogRecordProcessor(self._logs)
        )

    def spans(self, name: str | None = None) -> list[dict[str, Any]]:
        """Finished spans in the order of their ends.

        Args:
            name: Only spans of that name.

        Returns:
            Name, kind, trace, span and parent id (hexadecimal, parent "" for a root),
            status, description, attributes, links (trace id, span id) and events.
        """
        return [
            _span(span)
            for span in self._spans.get_finished_spans()
            if name is None or span.name == name
        ]

    def points(self, name: str) -> list[dict[str, Any]]:
        """Points of one metric as a fresh collection gives them.

        Args:
            name: Full metric name.

        Returns:
            Attributes, and ``value``, or for a histogram ``count``, ``sum`` (seconds),
            ``buckets`` and ``bounds``.
        """
        data = self._reader.get_metrics_data()
        if data is None:
            return []
        return [
            _point(point)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def logs(self, event_name: str | None = None) -> list[dict[str, Any]]:
        """Log records in the order of their emission.

        Args:
            event_name: Only records of that event name.

        Returns:
            Event name, severity, body, attributes, trace and span id (hexadecimal).
        """
        found = []
        for one in self._logs.get_finished_logs():
            record = one.log_record
            if event_name is None or record.event_name == event_name:
                found.append(
                    {
                        "event_name": record.event_name,
                        "severity": record.severity_text,
                        "body": record.body,
                        "attributes": dict(record.attributes or {}),
                        "trace_id": trace.format_trace_id(record.trace_id or 0),
                        "span_id": trace.format_span_id(record.span_id or 0),
                    }
                )
        return found

    def close(self) -> None:
        """Shut the providers down."""
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()
        self.logger_provider.shutdown()


def _span(span: Any) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace_id": trace.format_trace_id(span.context.trace_id),
        "span_id": trace.format_span_id(span.context.span_id),
        "parent_id": trace.format_span_id(span.parent.span_id) if span.parent else "",
        "status": span.status.status_code.name,
        "description": span.status.description,
        "attributes": dict(span.attributes or {}),
        "links": [
            (
                trace.format_trace_id(link.context.trace_id),
                trace.format_span_id(link.context.span_id),
            )
            for link in span.links
        ],
        "events": [event.name for event in span.events],
    }


def _point(point: Any) -> dict[str, Any]:
    if hasattr(point, "bucket_counts"):
        return {
            "attributes": dict(point.attributes),
            "count": point.count,
            "sum": point.sum,
            "buckets": list(point.bucket_counts),
            "bounds": list(point.explicit_bounds),
        }
    return {"attributes": dict(point.attributes), "value": point.value}


@contextmanager
def capture(*readers: Any) -> Iterator[Captured]:
    """Capture spans, metrics and logs of every pipeline of this process.

    Counts and suppressed notices start from zero. Nested captures are not supported.

    Args:
        readers: Further SDK metric readers to attach.
    """
    captured = Captured(list(readers))
    before = (
        PROVIDERS.tracer,
        PROVIDERS.meter,
        PROVIDERS.logger,
        TRACER.provider,
        TRACER.budget,
        TRACER.enabled,
        _guard.STRICT.on,
    )
    emitting = _logs.EMITTER.provider
    REGISTRY.zero()
    _logs.EMITTER.begin_anew()
    _guard.STRICT.on = True
    _setup.adopt(
        tracer_provider=captured.tracer_provider,
        meter_provider=captured.meter_provider,
        logger_provider=captured.logger_provider,
        journeys_per_second=None,
    )
    try:
        yield captured
    finally:
        PROVIDERS.tracer, PROVIDERS.meter, PROVIDERS.logger = before[:3]
        TRACER.provider, TRACER.budget, TRACER.enabled = before[3:6]
        TRACER.refresh(anew=True)
        _guard.STRICT.on = before[6]
        _logs.EMITTER.provider = emitting
        captured.close()
