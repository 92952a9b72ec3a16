"""What a test sees of received telemetry: plain frozen data, no protobuf.

Identifiers are lower-case hex, "" where absent. Times are nanoseconds since the
epoch. Attribute arrays are tuples, key-value lists are dicts. Status, links,
span events and buckets are named tuples: a test may write them as plain tuples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Signal = Literal["traces", "metrics", "logs"]
Protocol = Literal["grpc", "http/protobuf"]
PointKind = Literal["sum", "gauge", "histogram", "exponential_histogram"]
Temporality = Literal["cumulative", "delta"]
Attributes = dict[str, Any]


@dataclass(frozen=True)
class ReceivedScope:
    """The instrumentation scope that produced an item."""

    name: str
    version: str = ""
    schema_url: str = ""
    attributes: Attributes = field(default_factory=dict)


class ReceivedStatus(NamedTuple):
    """A span's status; `code` is "UNSET", "OK" or "ERROR"."""

    code: str
    message: str


class ReceivedLink(NamedTuple):
    """A span's link to another span."""

    trace_id: str
    span_id: str
    attributes: Attributes


class ReceivedEvent(NamedTuple):
    """A span event."""

    name: str
    time_ns: int
    attributes: Attributes


@dataclass(frozen=True)
class ReceivedExemplar:
    """One sampled measurement, with the span that it was taken in."""

    value: int | float
    trace_id: str = ""
    span_id: str = ""
    time_ns: int = 0
    attributes: Attributes = field(default_factory=dict)


class ReceivedBuckets(NamedTuple):
    """One side of an exponential histogram."""

    offset: int
    counts: tuple[int, ...]


_UNSET = ReceivedStatus("UNSET", "")
_NO_BUCKETS = ReceivedBuckets(0, ())


@dataclass(frozen=True, kw_only=True)
class ReceivedSpan:
    """One finished span; `kind` is "INTERNAL", "CONSUMER" and so on."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str = ""
    start_ns: int
    end_ns: int
    attributes: Attributes = field(default_factory=dict)
    status: ReceivedStatus = _UNSET
    links: tuple[ReceivedLink, ...] = ()
    events: tuple[ReceivedEvent, ...] = ()
    scope: ReceivedScope
    resource: Attributes


@dataclass(frozen=True, kw_only=True)
class ReceivedLog:
    """One log record; it is a log event where `event_name` is not empty."""

    event_name: str = ""
    severity_number: int = 0
    severity_text: str = ""
    body: Any = None
    attributes: Attributes = field(default_factory=dict)
    trace_id: str = ""
    span_id: str = ""
    time_ns: int = 0
    observed_ns: int = 0
    scope: ReceivedScope
    resource: Attributes


@dataclass(frozen=True, kw_only=True)
class ReceivedPoint:
    """One data point of one metric; fields of other kinds keep their defaults."""

    metric: str
    unit: str = ""
    description: str = ""
    kind: PointKind
    monotonic: bool | None = None
    temporality: Temporality | None = None
    attributes: Attributes = field(default_factory=dict)
    value: int | float | None = None
    count: int | None = None
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()
    scale: int | None = None
    zero_count: int | None = None
    positive: ReceivedBuckets = _NO_BUCKETS
    negative: ReceivedBuckets = _NO_BUCKETS
    exemplars: tuple[ReceivedExemplar, ...] = ()
    start_ns: int = 0
    time_ns: int = 0
    scope: ReceivedScope
    resource: Attributes


@dataclass(frozen=True)
class ReceivedRequest:
    """One export request as it arrived, whatever it was answered."""

    signal: Signal
    protocol: Protocol
    headers: dict[str, str]
