"""Readers of the SDK in memory, of every kind, and what they are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.metrics import Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricReader,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from stagelight import _metrics


def reader(*, delta: bool = False, exponential: bool = False) -> InMemoryMetricReader:
    """A reader in memory with these preferences."""
    temporality = dict.fromkeys(
        (Histogram, ObservableCounter), AggregationTemporality.DELTA
    )
    aggregation: dict[type, Any] = {Histogram: ExponentialBucketHistogramAggregation()}
    return InMemoryMetricReader(
        preferred_temporality=temporality if delta else None,
        preferred_aggregation=aggregation if exponential else None,
    )


def collect(one: InMemoryMetricReader) -> dict[str, Any]:
    """Metrics of one fresh collection by name."""
    return by_name(one.get_metrics_data())


def by_name(data: Any) -> dict[str, Any]:
    """Metrics of one collection by name."""
    return {
        metric.name: metric
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def points(metrics: dict[str, Any], name: str) -> list[Any]:
    """The points of one metric of a collection, none where it is not there."""
    return list(metrics[name].data.data_points) if name in metrics else []


class Pushed(MetricReader):
    """A delta reader that several threads may flush at once; it keeps everything."""

    def __init__(self) -> None:
        """Prefer deltas."""
        delta = AggregationTemporality.DELTA
        super().__init__({Histogram: delta, ObservableCounter: delta})
        self.received: list[Any] = []

    def _receive_metrics(self, metrics_data: Any, *_: Any, **__: Any) -> None:
        self.received.append(metrics_data)

    def shutdown(self, *_: Any, **__: Any) -> None:
        """Do nothing: what came stays."""


@dataclass
class Attached:
    """Providers that a test attached."""

    providers: list[MeterProvider] = field(default_factory=list)

    def __call__(self, *readers: Any) -> MeterProvider:
        """A provider with our instruments, for these readers."""
        provider = MeterProvider(list(readers), shutdown_on_exit=False)
        self.providers.append(provider)
        _metrics.attach(provider)
        return provider

    def close(self) -> None:
        """Shut all of them down."""
        while self.providers:
            self.providers.pop().shutdown()
