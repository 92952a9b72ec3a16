"""The one seam to the SDK: ready-made histograms join what a reader collects.

The OpenTelemetry specification calls this a MetricProducer; the Python SDK has none.
``SynchronousMeasurementConsumer.collect`` receives the reader and returns its metrics
(https://opentelemetry.io/docs/specs/otel/metrics/sdk/#metricproducer).
"""

from __future__ import annotations

import threading
import time
import weakref
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

import wrapt
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, Exemplar
from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
from opentelemetry.sdk.metrics._internal.measurement_consumer import (
    SynchronousMeasurementConsumer,
)
from opentelemetry.sdk.metrics._internal.point import Buckets
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    HistogramDataPoint,
    Metric,
)
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExponentialBucketHistogramAggregation,
)

from stagelight import _guard, _names
from stagelight._cells import (
    NANOSECONDS,
    SCALE,
    explicit_counts,
    exponential_counts,
)
from stagelight._metrics import _look  # noqa: F401 - not as late as the program's end
from stagelight._metrics._observables import COLLECTION
from stagelight._metrics._storage import slice_up
from stagelight._renewal import reinit

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._distribution import Distribution
    from stagelight._distribution import Exemplar as CellExemplar
    from stagelight._metrics._look import Look, Point


class _View:
    """What one reader was given before, for delta temporality."""

    def __init__(self) -> None:
        # Collections of one reader take turns, or a delta could be handed over twice.
        self.lock = threading.RLock()
        self.time_ns = START[0]
        self.given: dict[tuple[object, ...], Distribution] = {}


#: Wall clock when this process began to record.
START: Final = [time.time_ns()]
_VIEWS: Final[weakref.WeakKeyDictionary[Any, _View]] = weakref.WeakKeyDictionary()
_VIEWS_LOCK: Final = threading.Lock()
_CONSUMERS: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
_INSTALLED: Final[list[bool]] = []


def install() -> None:
    """Wrap the SDK's collection, once.

    Raises:
        AttributeError: This SDK has no such seam.
    """
    if not _INSTALLED:
        wrapt.wrap_function_wrapper(SynchronousMeasurementConsumer, "collect", _collect)
        _INSTALLED.append(True)


def rebind(provider: Any) -> bool:
    """Make readers that were attached before us collect through the seam.

    They hold a bound method of the unwrapped function.

    Args:
        provider: A meter provider.

    Returns:
        Whether it is one of the SDK.
    """
    consumer = getattr(provider, "_measurement_consumer", None)
    if not isinstance(consumer, SynchronousMeasurementConsumer):
        return False
    _CONSUMERS.add(consumer)
    for reader in list(consumer._reader_storages):  # noqa: SLF001
        collect: Any = consumer.collect
        reader._set_collect_callback(collect)  # noqa: SLF001
    return True


def _collect(wrapped: Callable[..., Any], consumer: Any, args: Any, kwargs: Any) -> Any:
    reader = args[0] if args else kwargs.get("metric_reader")
    with _view(reader).lock:
        return _collect_in_turn(wrapped, consumer, reader, args, kwargs)


def _collect_in_turn(
    wrapped: Callable[..., Any], consumer: Any, reader: Any, args: Any, kwargs: Any
) -> Any:
    collection: Any = COLLECTION  # changed by the callbacks
    before = collection.reader, collection.look, collection.touched
    collection.reader, collection.look, collection.touched = reader, None, False
    try:
        slice_up(consumer, reader)
        data = wrapped(*args, **kwargs)
        if collection.touched and collection.look is not None and data is not None:
            try:
                _append(data, collection.look, reader, consumer)
            except Exception as error:  # noqa: BLE001 - never into the reader
                _guard.caught("collect", error)
        return data
    finally:
        collection.reader, collection.look, collection.touched = before


def _view(reader: Any) -> _View:
    with _VIEWS_LOCK:
        view = _VIEWS.get(reader)
        if view is None:
            view = _VIEWS[reader] = _View()
        return view


def _append(data: Any, look: Look, reader: Any, consumer: Any) -> None:
    ours = next(
        (
            scope
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            if scope.scope.name == _names.SCOPE
        ),
        None,
    )
    if ours is None:
        return
    config = consumer._sdk_config  # noqa: SLF001
    exemplars = not isinstance(config.exemplar_filter, AlwaysOffExemplarFilter)
    ours.metrics.extend(histograms(look, reader, exemplars=exemplars))


def histograms(look: Look, reader: Any, *, exemplars: bool = True) -> list[Metric]:
    """Every histogram as this reader prefers it.

    Args:
        look: The records of this collection.
        reader: The SDK's metric reader.
        exemplars: Whether to add sampled spans.
    """
    view = _view(reader)
    temporality = _preference(reader, "_instrument_class_temporality")
    aggregation = _preference(reader, "_instrument_class_aggregation")
    if isinstance(aggregation, DropAggregation):
        return []
    delta = temporality is AggregationTemporality.DELTA
    exponential = isinstance(aggregation, ExponentialBucketHistogramAggregation)
    now = time.time_ns()
    start = view.time_ns if delta else START[0]
    grouped: dict[_names.Metric, list[Any]] = {}
    for point in look.points():
        part = point.distribution
        if delta:
            part = part.minus(view.given.get(point.key))
            view.given[point.key] = point.distribution
            if not part.count:
                continue
        make = _exponential if exponential else _explicit
        made = make(point, part, start, now, delta=delta, exemplars=exemplars)
        grouped.setdefault(point.metric, []).append(made)
    view.time_ns = now
    kind: Any = ExponentialHistogram if exponential else Histogram
    return [
        Metric(
            name=metric.name,
            description=metric.description,
            unit=metric.unit,
            data=kind(
                data_points=points,
                aggregation_temporality=(
                    AggregationTemporality.DELTA
                    if delta
                    else AggregationTemporality.CUMULATIVE
                ),
            ),
        )
        for metric, points in grouped.items()
    ]


def _preference(reader: Any, table: str) -> Any:
    for instrument, value in getattr(reader, table).items():
        if issubclass(instrument, HistogramInstrument):
            return value
    return None


def _explicit(  # noqa: PLR0913
    point: Point,
    part: Distribution,
    start: int,
    now: int,
    *,
    delta: bool,
    exemplars: bool,
) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=point.attributes,
        start_time_unix_nano=start,
        time_unix_nano=now,
        count=part.count,
        sum=part.sum / NANOSECONDS,
        bucket_counts=explicit_counts(part.cells, point.bounds),
        explicit_bounds=point.bounds,
        # Extremes of an interval are not known, and optional in OTLP.
        min=None if delta else part.min / NANOSECONDS,  # type: ignore[arg-type]
        max=None if delta else part.max / NANOSECONDS,  # type: ignore[arg-type]
        exemplars=_exemplars(part, start, point.bounds) if exemplars else [],
    )


def _exponential(  # noqa: PLR0913
    point: Point,
    part: Distribution,
    start: int,
    now: int,
    *,
    delta: bool,
    exemplars: bool,
) -> ExponentialHistogramDataPoint:
    zero, offset, counts = exponential_counts(part.cells)
    return ExponentialHistogramDataPoint(
        attributes=point.attributes,
        start_time_unix_nano=start,
        time_unix_nano=now,
        count=part.count,
        sum=part.sum / NANOSECONDS,
        scale=SCALE,
        zero_count=zero,
        positive=Buckets(offset=offset, bucket_counts=counts),
        negative=Buckets(offset=0, bucket_counts=[]),
        flags=0,
        min=None if delta else part.min / NANOSECONDS,  # type: ignore[arg-type]
        max=None if delta else part.max / NANOSECONDS,  # type: ignore[arg-type]
        exemplars=_exemplars(part, start, point.bounds) if exemplars else [],
    )


def _exemplars(
    part: Distribution, start: int, bounds: tuple[float, ...]
) -> list[Exemplar]:
    """The newest sampled span of each bucket, none older than the point."""
    found: dict[int, CellExemplar] = {}
    for one in list(part.exemplars.values()):
        bucket = bisect_left(bounds, one.value / NANOSECONDS)
        known = found.get(bucket)
        if one.time_ns >= start and (known is None or known.time_ns < one.time_ns):
            found[bucket] = one
    return [
        Exemplar(
            filtered_attributes={},
            value=one.value / NANOSECONDS,
            time_unix_nano=one.time_ns,
            span_id=one.span_id,
            trace_id=one.trace_id,
        )
        for _, one in sorted(found.items())
    ]


def after_fork() -> None:
    """Begin anew in a forked child, the SDK's own state of our instruments included.

    It would subtract the parent's counts from the child's, and may be locked.
    """
    START[0] = time.time_ns()
    reinit([_VIEWS_LOCK])
    _VIEWS.clear()
    for consumer in list(_CONSUMERS):
        reinit([consumer._lock])  # noqa: SLF001
        for reader, storage in consumer._reader_storages.items():  # noqa: SLF001
            locks = [storage, reader]
            matches = storage._instrument_view_instrument_matches  # noqa: SLF001
            for instrument in list(matches):
                if instrument.instrumentation_scope.name == _names.SCOPE:
                    del matches[instrument]
                    continue
                for match in matches[instrument]:
                    aggregations = match._attributes_aggregation  # noqa: SLF001
                    locks += [match, *aggregations.values()]
            for holder in locks:
                reinit(
                    getattr(holder, name, None) for name in ("_lock", "_export_lock")
                )
