"""The test receiver against the real SDK and its real exporters."""

from __future__ import annotations

import gzip
import http.client
import socket
import threading
import traceback
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import grpc
import opentelemetry.exporter.otlp.proto.grpc._log_exporter as grpc_logs
import opentelemetry.exporter.otlp.proto.grpc.metric_exporter as grpc_metrics
import opentelemetry.exporter.otlp.proto.grpc.trace_exporter as grpc_traces
import opentelemetry.exporter.otlp.proto.http._log_exporter as http_logs
import opentelemetry.exporter.otlp.proto.http.metric_exporter as http_metrics
import opentelemetry.exporter.otlp.proto.http.trace_exporter as http_traces
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status as RpcStatus
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.metrics import Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceStub,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)
from requests import RequestException

from harness import (
    OtlpReceiver,
    ReceivedBuckets,
    ReceivedExemplar,
    ReceivedLog,
    ReceivedPoint,
    ReceivedScope,
    ReceivedSpan,
    run_program,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOCOLS = ["grpc", "http/protobuf"]
TRACE = "0000000000000000000000000000000a"
SPAN = "000000000000000b"
ATTRIBUTES = {"text": "a", "whole": 1, "real": 0.5, "yes": True, "many": ("x", "y")}
RESOURCE = {"service.name": "orders"}
EXPORTERS: dict[tuple[str, str], Any] = {
    ("traces", "grpc"): grpc_traces.OTLPSpanExporter,
    ("metrics", "grpc"): grpc_metrics.OTLPMetricExporter,
    ("logs", "grpc"): grpc_logs.OTLPLogExporter,
    ("traces", "http/protobuf"): http_traces.OTLPSpanExporter,
    ("metrics", "http/protobuf"): http_metrics.OTLPMetricExporter,
    ("logs", "http/protobuf"): http_logs.OTLPLogExporter,
}
SCOPE = ReceivedScope("shop", "1.2", "https://schema.test/1", {"edge": "left"})


class FixedIds(IdGenerator):
    """Gives every span the same ids."""

    def generate_trace_id(self):
        return int(TRACE, 16)

    def generate_span_id(self):
        return int(SPAN, 16)


@dataclass
class Exporters:
    """The exporters of one protocol, gzipped, aimed at one receiver."""

    receiver: OtlpReceiver
    protocol: Any

    def traces(self, **options):
        return self._make("traces", **options)

    def metrics(self, **options):
        return self._make("metrics", **options)

    def logs(self, **options):
        return self._make("logs", **options)

    def _make(self, signal, **options):
        if self.protocol == "grpc":
            endpoint, compression = self.receiver.grpc_endpoint, grpc.Compression.Gzip
        else:
            endpoint = f"{self.receiver.http_endpoint}/v1/{signal}"
            compression = Compression.Gzip
        exporter = EXPORTERS[signal, self.protocol]
        return exporter(endpoint=endpoint, compression=compression, **options)


@pytest.fixture
def receiver(monkeypatch) -> Iterator[OtlpReceiver]:
    """Open a receiver that no proxy stands before."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with OtlpReceiver() as opened:
        yield opened


@pytest.fixture(params=PROTOCOLS)
def exporters(request, receiver) -> Exporters:
    """Return the exporters of each protocol in turn."""
    return Exporters(receiver, request.param)


@dataclass
class Sender:
    """Exports one small span, once for each call."""

    exporter: Any
    spans: Any

    def __call__(self) -> bool:
        # Older HTTP exporters let a refused connection through as an exception.
        with suppress(RequestException):
            return self.exporter.export(self.spans) is SpanExportResult.SUCCESS
        return False


@pytest.fixture
def senders(exporters):
    """Return a function that makes a sender; all are shut down at the end."""
    made = []
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("shop")
    span = tracer.start_span("parse")
    span.end()

    def sender(**options) -> Sender:
        made.append(Sender(exporters.traces(**options), [span]))
        return made[-1]

    yield sender
    for each in made:
        each.exporter.shutdown()


def test_span(exporters):
    """A span arrives whole, with its link, event, status, scope and resource."""
    provider = TracerProvider(
        id_generator=FixedIds(), resource=Resource(RESOURCE), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(exporters.traces()))
    tracer = provider.get_tracer("shop", "1.2", SCOPE.schema_url, SCOPE.attributes)
    linked = SpanContext(3, 4, is_remote=True, trace_flags=TraceFlags(1))
    span = tracer.start_span(
        "process parse",
        kind=SpanKind.CONSUMER,
        links=[Link(linked, {"why": "batch"})],
        attributes=ATTRIBUTES,
        start_time=100,
    )
    span.add_event("seen", {"n": 1}, timestamp=150)
    span.set_status(Status(StatusCode.ERROR, "broken"))
    span.end(200)
    provider.shutdown()

    assert exporters.receiver.spans() == [
        ReceivedSpan(
            name="process parse",
            kind="CONSUMER",
            trace_id=TRACE,
            span_id=SPAN,
            start_ns=100,
            end_ns=200,
            attributes=ATTRIBUTES,
            status=("ERROR", "broken"),
            links=((f"{3:032x}", f"{4:016x}", {"why": "batch"}),),
            events=(("seen", 150, {"n": 1}),),
            scope=SCOPE,
            resource=RESOURCE,
        )
    ]
    assert exporters.receiver.requests == {("traces", exporters.protocol): 1}


def test_parent(exporters):
    """A child span names its parent; a root span has none."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporters.traces()))
    tracer = provider.get_tracer("shop")
    with tracer.start_as_current_span("root"), tracer.start_as_current_span("child"):
        pass
    provider.shutdown()

    child, root = exporters.receiver.spans()
    assert (child.name, child.parent_id) == ("child", root.span_id)
    assert (root.name, root.parent_id) == ("root", "")
    assert child.trace_id == root.trace_id


def timeless(point: ReceivedPoint) -> ReceivedPoint:
    """Check that a point's times are in order, and blank them."""
    assert 0 <= point.start_ns < point.time_ns
    exemplars = []
    for exemplar in point.exemplars:
        # The SDK may stamp a series' first measurement before the series' start.
        assert 0 < exemplar.time_ns <= point.time_ns
        exemplars.append(replace(exemplar, time_ns=0))
    return replace(point, start_ns=0, time_ns=0, exemplars=tuple(exemplars))


def meter_provider(exporter) -> MeterProvider:
    """Return a provider that exports only when flushed."""
    return MeterProvider(
        [PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))],
        resource=Resource(RESOURCE),
        shutdown_on_exit=False,
        views=[
            View(
                instrument_name="wide",
                aggregation=ExponentialBucketHistogramAggregation(max_size=8),
            ),
            View(
                instrument_name="narrow",
                aggregation=ExplicitBucketHistogramAggregation((1.0, 5.0)),
            ),
        ],
    )


def test_metrics(exporters):
    """Sums, gauges and both histograms arrive whole, with exemplars of their span."""
    provider = meter_provider(exporters.metrics())
    meter = provider.get_meter("shop", "1.2", SCOPE.schema_url, SCOPE.attributes)
    tracer = TracerProvider(id_generator=FixedIds(), shutdown_on_exit=False)
    meter.create_counter("done", "{event}", "Events done").add(3, {"stage": "parse"})
    meter.create_up_down_counter("open").add(-2)
    meter.create_observable_gauge("fill", [lambda _: [Observation(0.25)]], "1")
    wide = meter.create_histogram("wide", "s")
    with tracer.get_tracer("t").start_as_current_span("parse"):
        meter.create_histogram("narrow", "s").record(2.0, {"stage": "parse"})
        wide.record(4.0)
    for value in (0.0, 1.0, 2.0):
        wide.record(value)
    provider.force_flush()
    provider.shutdown()

    common = {"scope": SCOPE, "resource": RESOURCE}
    received = {p.metric: timeless(p) for p in exporters.receiver.metrics()}
    assert received == {
        "done": ReceivedPoint(
            metric="done",
            unit="{event}",
            description="Events done",
            kind="sum",
            monotonic=True,
            temporality="cumulative",
            attributes={"stage": "parse"},
            value=3,
            **common,
        ),
        "open": ReceivedPoint(
            metric="open",
            kind="sum",
            monotonic=False,
            temporality="cumulative",
            value=-2,
            **common,
        ),
        "fill": ReceivedPoint(
            metric="fill", unit="1", kind="gauge", value=0.25, **common
        ),
        "narrow": ReceivedPoint(
            metric="narrow",
            unit="s",
            kind="histogram",
            temporality="cumulative",
            attributes={"stage": "parse"},
            count=1,
            sum=2.0,
            min=2.0,
            max=2.0,
            bounds=(1.0, 5.0),
            buckets=(0, 1, 0),
            exemplars=(ReceivedExemplar(2.0, TRACE, SPAN),),
            **common,
        ),
        "wide": ReceivedPoint(
            metric="wide",
            unit="s",
            kind="exponential_histogram",
            temporality="cumulative",
            count=4,
            sum=7.0,
            min=0.0,
            max=4.0,
            scale=1,
            zero_count=1,
            positive=ReceivedBuckets(-1, (1, 0, 1, 0, 1, 0, 0, 0)),
            negative=ReceivedBuckets(0, (0,)),
            exemplars=(ReceivedExemplar(4.0, TRACE, SPAN),),
            **common,
        ),
    }


def test_delta(exporters):
    """Delta points arrive as such; `last` leaves them out."""
    delta = AggregationTemporality.DELTA
    provider = meter_provider(exporters.metrics(preferred_temporality={Counter: delta}))
    counter = provider.get_meter("shop").create_counter("done")
    for amount in (1, 2):
        counter.add(amount)
        provider.force_flush()
    provider.shutdown()

    points = exporters.receiver.points("done")
    assert [(p.temporality, p.value) for p in points] == [("delta", 1), ("delta", 2)]
    assert exporters.receiver.last("done") == []


def test_last(exporters):
    """`last` gives the newest point of each series that has the attributes."""
    provider = meter_provider(exporters.metrics())
    counter = provider.get_meter("shop").create_counter("done")
    for _ in range(2):
        counter.add(1, {"stage.name": "parse", "ok": True})
        counter.add(2, {"stage.name": "parse", "ok": False})
        counter.add(3, {"stage.name": "store", "ok": True})
        provider.force_flush()
    provider.shutdown()

    last = exporters.receiver.last
    assert len(exporters.receiver.points("done")) == 6
    assert [point.value for point in last("done")] == [2, 4, 6]
    assert [point.value for point in last("done", **{"stage.name": "parse"})] == [2, 4]
    assert [point.value for point in last("done", ok=True)] == [2, 6]
    assert last("done", ok=None) == last("other") == []


def test_log(exporters):
    """A log event arrives whole, with its exception and the span it happened in."""
    provider = LoggerProvider(resource=Resource(RESOURCE), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporters.logs()))
    logger = provider.get_logger("shop", "1.2", SCOPE.schema_url, SCOPE.attributes)
    tracer = TracerProvider(id_generator=FixedIds(), shutdown_on_exit=False)
    with tracer.get_tracer("t").start_as_current_span("parse"):
        try:
            float("bad")
        except ValueError as error:
            # Older SDKs do not take the exception itself.
            attributes = ATTRIBUTES | {
                "exception.type": "ValueError",
                "exception.message": str(error),
                "exception.stacktrace": traceback.format_exc(),
            }
            logger.emit(
                timestamp=100,
                observed_timestamp=200,
                severity_number=SeverityNumber.ERROR,
                severity_text="ERROR",
                body={"failed": ["parse", 1]},
                attributes=attributes,
                event_name="shop.failed",
            )
    provider.shutdown()

    assert exporters.receiver.logs() == [
        ReceivedLog(
            event_name="shop.failed",
            severity_number=17,
            severity_text="ERROR",
            body={"failed": ("parse", 1)},
            attributes=attributes,
            trace_id=TRACE,
            span_id=SPAN,
            time_ns=100,
            observed_ns=200,
            scope=SCOPE,
            resource=RESOURCE,
        )
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_environment(receiver, protocol):
    """A program that reads only the environment exports here, with its headers."""
    source = """
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.environment_variables import OTEL_EXPORTER_OTLP_PROTOCOL
        import os
        if os.environ[OTEL_EXPORTER_OTLP_PROTOCOL] == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc import trace_exporter
        else:
            from opentelemetry.exporter.otlp.proto.http import trace_exporter
        provider = TracerProvider()
        exporter = trace_exporter.OTLPSpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        provider.get_tracer("t").start_span("parse").end()
    """
    env = receiver.environment(protocol) | {
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=secret",
        "OTEL_SERVICE_NAME": "orders",
    }
    ended = run_program(source, env=env)

    assert (ended.returncode, ended.stderr) == (0, "")
    [span] = receiver.spans()
    assert (span.name, span.resource["service.name"]) == ("parse", "orders")
    assert [headers["x-key"] for headers in receiver.headers] == ["secret"]


def test_environment_protocol(receiver):
    """An unknown protocol is refused, with the known ones."""
    with pytest.raises(ValueError, match=r"'http'.*'grpc', 'http/protobuf'"):
        receiver.environment("http")


def test_retry(exporters, senders):
    """An exporter that is told to come back at once retries, and its data arrives."""
    receiver = exporters.receiver
    receiver.answer(503, retry_after=0, times=2)

    assert senders()()
    assert receiver.requests == {("traces", exporters.protocol): 3}
    assert receiver.accepted == {("traces", exporters.protocol): 1}
    assert [span.name for span in receiver.spans()] == ["parse"]


def test_rejected(exporters, senders):
    """A permanent error is not retried, and nothing is stored."""
    receiver = exporters.receiver
    receiver.answer(400)

    assert not senders()()
    assert receiver.requests == {("traces", exporters.protocol): 1}
    assert receiver.accepted == {}
    assert receiver.spans() == []


def test_answer_until_recovery(exporters, senders):
    """A switched answer stays until the receiver recovers."""
    receiver = exporters.receiver
    send = senders(timeout=0.7)
    receiver.answer()

    assert not send()
    assert not send()
    receiver.recover()
    assert senders()()
    assert len(receiver.spans()) == 1


def test_hang(exporters, senders):
    """A hung request times out at the exporter; recovery lets it through."""
    receiver = exporters.receiver
    receiver.hang(60)

    send = senders(timeout=0.5)
    assert not send()
    while not receiver.requests["traces", exporters.protocol]:
        assert not send()  # a busy machine may need longer until it arrives
    assert receiver.spans() == []
    receiver.recover()
    assert receiver.wait_for(receiver.spans)


def test_hang_is_bounded(exporters, senders):
    """A request that is held for a while is then accepted."""
    exporters.receiver.hang(0.05)

    assert senders()()
    assert len(exporters.receiver.spans()) == 1


def test_hang_ends_when_refusing(exporters, senders):
    """What is held when the receiver crashes is lost."""
    receiver = exporters.receiver
    receiver.hang(60)
    send = senders(timeout=3)
    results = []
    thread = threading.Thread(target=lambda: results.append(send()))
    thread.start()
    receiver.wait_for(lambda: receiver.requests)
    receiver.refuse()
    thread.join()

    assert results == [False]
    assert receiver.spans() == []


def test_refuse(exporters, senders):
    """A refused exporter fails, and one made later reaches the recovered receiver."""
    receiver = exporters.receiver
    before = senders()
    assert before()
    receiver.clear()
    endpoints = (receiver.http_endpoint, receiver.grpc_endpoint)
    receiver.refuse()

    assert not senders(timeout=0.3)()
    assert receiver.requests == {}
    receiver.recover()
    assert endpoints == (receiver.http_endpoint, receiver.grpc_endpoint)
    assert before()
    assert len(receiver.spans()) == 1


def test_refuse_connections(receiver):
    """Both ports refuse connections while refusing and after the end."""
    ports = [
        int(endpoint.rpartition(":")[2])
        for endpoint in (receiver.http_endpoint, receiver.grpc_endpoint)
    ]
    receiver.refuse()
    receiver.refuse()

    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    receiver.recover()
    receiver.recover()
    for port in ports:
        socket.create_connection(("127.0.0.1", port)).close()


def test_refuse_cuts_open_connections(receiver):
    """A kept-alive connection ends when the receiver refuses."""
    with post(receiver, "/v1/traces", b"") as (status, _, connection):
        assert status == 200
        assert connection.sock is not None
        receiver.refuse()
        assert connection.sock.recv(1) == b""


def test_shutdown():
    """A closed receiver leaves no thread behind and refuses connections."""
    before = set(threading.enumerate())
    with OtlpReceiver() as receiver:
        port = int(receiver.grpc_endpoint.rpartition(":")[2])
        with post(receiver, "/v1/logs", b"") as (status, _, connection):
            assert status == 200
            receiver.__exit__(None, None, None)
            assert set(threading.enumerate()) <= before
            assert connection.sock.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_own_errors():
    """What the receiver cannot decode fails the test that sent it."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add()
    metric.summary.data_points.add()
    body = request.SerializeToString()
    receiver = OtlpReceiver()

    with (
        pytest.raises(ValueError, match="is a summary"),
        receiver,
        pytest.raises(http.client.RemoteDisconnected),
        post(receiver, "/v1/metrics", body),
    ):
        pass


@contextmanager
def post(receiver, path, body, **headers):
    """Send one request; yield status, body and the connection, still open."""
    address = receiver.http_endpoint.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        headers = {"content_type": "application/x-protobuf"} | headers
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request("POST", path, body, named)
        response = connection.getresponse()
        assert response.headers["content-type"] == "application/x-protobuf"
        yield response.status, response.read(), connection
    finally:
        connection.close()


def one_span() -> bytes:
    """Return a request with one span."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name="parse")
    return request.SerializeToString()


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [("identity", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)],
)
def test_http_encodings(receiver, encoding, encode):
    """Each content encoding is decoded, and answered with an empty response."""
    body = encode(one_span())
    sent = post(receiver, "/v1/traces", body, content_encoding=encoding)
    with sent as (status, answer, _):
        assert status == 200
        assert ExportTraceServiceResponse.FromString(answer) == (
            ExportTraceServiceResponse()
        )
    assert [span.name for span in receiver.spans()] == ["parse"]
    assert receiver.headers[0]["content-encoding"] == encoding


@pytest.mark.parametrize(
    ("path", "headers", "body", "expected"),
    [
        ("/v1/other", {}, b"", 404),
        ("/", {}, b"", 404),
        ("/v1/traces", {"content_type": "application/json"}, b"{}", 415),
        ("/v1/traces", {"content_encoding": "br"}, b"", 415),
        ("/v1/traces", {"content_encoding": "gzip"}, b"not gzip", 400),
        ("/v1/traces", {"content_encoding": "gzip"}, gzip.compress(b"a")[:-4], 400),
        ("/v1/traces", {"content_encoding": "deflate"}, b"not zlib", 400),
        ("/v1/traces", {}, b"not protobuf", 400),
    ],
)
def test_http_errors(receiver, path, headers, body, expected):
    """A wrong request gets its status and a message, and counts as none."""
    with post(receiver, path, body, **headers) as (status, answer, _):
        assert status == expected
        assert RpcStatus.FromString(answer).message
    assert receiver.requests == {}


@pytest.mark.parametrize(("path", "expected"), [("/v1/logs", 405), ("/", 404)])
def test_http_get(receiver, path, expected):
    """Telemetry cannot be fetched."""
    address = receiver.http_endpoint.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", path)
    assert connection.getresponse().status == expected
    connection.close()


def test_http_retry_after(receiver):
    """The Retry-After header is in whole seconds, rounded up."""
    receiver.answer(429, retry_after=1.2)
    address = receiver.http_endpoint.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=10)
    kind = {"Content-Type": "application/x-protobuf"}
    connection.request("POST", "/v1/logs", b"", kind)
    response = connection.getresponse()
    assert (response.status, response.headers["Retry-After"]) == (429, "2")
    connection.close()


def test_grpc_retry_info(receiver):
    """A gRPC refusal carries its code and when to come back."""
    receiver.answer(429, retry_after=1.5)
    address = receiver.grpc_endpoint.removeprefix("http://")
    with (
        grpc.insecure_channel(address) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        TraceServiceStub(channel).Export(ExportTraceServiceRequest())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    metadata = dict(caught.value.trailing_metadata())
    retry = RetryInfo.FromString(metadata["google.rpc.retryinfo-bin"])
    assert retry.retry_delay.ToMilliseconds() == 1500
    status = RpcStatus.FromString(metadata["grpc-status-details-bin"])
    assert status.details[0].Unpack(RetryInfo())


def test_wait_for(exporters, senders):
    """Waiting ends as soon as what is waited for has arrived from another thread."""
    receiver = exporters.receiver
    thread = threading.Thread(target=senders())
    thread.start()
    [span] = receiver.wait_for(receiver.spans)
    thread.join()
    assert span.name == "parse"


def test_wait_for_nothing(receiver):
    """Waiting in vain ends with what did arrive."""
    with post(receiver, "/v1/traces", one_span()):
        pass
    with pytest.raises(TimeoutError, match=r"in 0.01 s; .*spans \{'parse': 1\}"):
        receiver.wait_for(receiver.logs, timeout=0.01)


def test_clear(receiver):
    """A cleared receiver knows of nothing, and goes on receiving."""
    for _ in range(2):
        receiver.clear()
        assert (receiver.spans(), receiver.requests) == ([], {})
        assert (receiver.headers, receiver.accepted) == ([], {})
        with post(receiver, "/v1/traces", one_span()):
            assert len(receiver.spans()) == 1
