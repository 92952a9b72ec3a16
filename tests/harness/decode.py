"""Turns OTLP protobuf requests into the plain data of `data`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from .data import (
    Attributes,
    ReceivedBuckets,
    ReceivedEvent,
    ReceivedExemplar,
    ReceivedLink,
    ReceivedLog,
    ReceivedPoint,
    ReceivedScope,
    ReceivedSpan,
    ReceivedStatus,
    Temporality,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
        ExportLogsServiceRequest,
    )
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )
    from opentelemetry.proto.common.v1.common_pb2 import (
        AnyValue,
        InstrumentationScope,
        KeyValue,
    )
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Metric


def decode_spans(request: ExportTraceServiceRequest) -> list[ReceivedSpan]:
    """Decode every span of a request, in its order."""
    return [
        _span(span, _scope(scoped.scope, scoped.schema_url), resource)
        for group in request.resource_spans
        for resource in [_attributes(group.resource.attributes)]
        for scoped in group.scope_spans
        for span in scoped.spans
    ]


def decode_logs(request: ExportLogsServiceRequest) -> list[ReceivedLog]:
    """Decode every log record of a request, in its order."""
    return [
        _log(record, _scope(scoped.scope, scoped.schema_url), resource)
        for group in request.resource_logs
        for resource in [_attributes(group.resource.attributes)]
        for scoped in group.scope_logs
        for record in scoped.log_records
    ]


def decode_points(request: ExportMetricsServiceRequest) -> list[ReceivedPoint]:
    """Decode every data point of a request, in its order."""
    return [
        point
        for group in request.resource_metrics
        for resource in [_attributes(group.resource.attributes)]
        for scoped in group.scope_metrics
        for metric in scoped.metrics
        for point in _points(metric, _scope(scoped.scope, scoped.schema_url), resource)
    ]


def _span(span: Span, scope: ReceivedScope, resource: Attributes) -> ReceivedSpan:
    code = Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_")
    return ReceivedSpan(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        status=ReceivedStatus(code, span.status.message),
        links=tuple(
            ReceivedLink(
                link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes)
            )
            for link in span.links
        ),
        events=tuple(
            ReceivedEvent(
                event.name, event.time_unix_nano, _attributes(event.attributes)
            )
            for event in span.events
        ),
        scope=scope,
        resource=resource,
    )


def _log(record: LogRecord, scope: ReceivedScope, resource: Attributes) -> ReceivedLog:
    return ReceivedLog(
        event_name=record.event_name,
        severity_number=int(record.severity_number),
        severity_text=record.severity_text,
        body=_value(record.body),
        attributes=_attributes(record.attributes),
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        time_ns=record.time_unix_nano,
        observed_ns=record.observed_time_unix_nano,
        scope=scope,
        resource=resource,
    )


def _points(
    metric: Metric, scope: ReceivedScope, resource: Attributes
) -> Iterator[ReceivedPoint]:
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    if kind == "summary":
        raise ValueError(
            f"metric {metric.name!r} is a summary, which nobody sends here"
        )
    data = getattr(metric, kind)
    for point in data.data_points:
        yield ReceivedPoint(
            metric=metric.name,
            unit=metric.unit,
            description=metric.description,
            kind=kind,
            monotonic=data.is_monotonic if kind == "sum" else None,
            temporality=None if kind == "gauge" else _temporality(data),
            attributes=_attributes(point.attributes),
            exemplars=tuple(map(_exemplar, point.exemplars)),
            start_ns=point.start_time_unix_nano,
            time_ns=point.time_unix_nano,
            scope=scope,
            resource=resource,
            **_measured(kind, point),
        )


def _measured(kind: str, point: Any) -> dict[str, Any]:
    """Return the fields that only points of this kind have."""
    if kind in {"sum", "gauge"}:
        return {"value": _number(point)}
    measured: dict[str, Any] = {
        "count": point.count,
        "sum": point.sum if point.HasField("sum") else None,
        "min": point.min if point.HasField("min") else None,
        "max": point.max if point.HasField("max") else None,
    }
    if kind == "histogram":
        return measured | {
            "bounds": tuple(point.explicit_bounds),
            "buckets": tuple(point.bucket_counts),
        }
    return measured | {
        "scale": point.scale,
        "zero_count": point.zero_count,
        "positive": _buckets(point.positive),
        "negative": _buckets(point.negative),
    }


def _buckets(buckets: Any) -> ReceivedBuckets:
    return ReceivedBuckets(buckets.offset, tuple(buckets.bucket_counts))


def _exemplar(exemplar: Exemplar) -> ReceivedExemplar:
    value = _number(exemplar)
    if value is None:
        raise ValueError("an exemplar has no value")
    return ReceivedExemplar(
        value=value,
        trace_id=exemplar.trace_id.hex(),
        span_id=exemplar.span_id.hex(),
        time_ns=exemplar.time_unix_nano,
        attributes=_attributes(exemplar.filtered_attributes),
    )


def _number(point: Any) -> int | float | None:
    """Return an integer or a float as it was sent; None for "no recorded value"."""
    field = point.WhichOneof("value")
    return None if field is None else cast("int | float", getattr(point, field))


def _temporality(data: Any) -> Temporality:
    name = AggregationTemporality.Name(data.aggregation_temporality)
    return cast("Temporality", name.removeprefix("AGGREGATION_TEMPORALITY_").lower())


def _scope(scope: InstrumentationScope, schema_url: str) -> ReceivedScope:
    return ReceivedScope(
        scope.name, scope.version, schema_url, _attributes(scope.attributes)
    )


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    field = value.WhichOneof("value")
    if field is None:
        return None
    if field == "array_value":
        return tuple(_value(item) for item in value.array_value.values)
    if field == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, field)
