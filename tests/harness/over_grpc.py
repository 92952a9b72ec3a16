"""The gRPC half of the receiver: three services on one loopback port."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    add_LogsServiceServicer_to_server,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    add_TraceServiceServicer_to_server,
)

from .data import ReceivedRequest
from .intake import CODECS, OK

if TYPE_CHECKING:
    from .data import Signal
    from .intake import Answer, Intake

_WORKERS = 16
_JOIN_SECONDS = 5.0
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.UNIMPLEMENTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.UNAVAILABLE,
}


class GrpcServer:
    """A running gRPC server; `close` leaves no thread and no socket behind."""

    def __init__(self, intake: Intake, port: int) -> None:
        """Listen on the loopback port and serve at once."""
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="otlp-grpc")
        # One listener per port: a second receiver must never share this one's.
        options = [("grpc.so_reuseport", 0)]
        self._server = grpc.server(self._workers, options=options)
        add_TraceServiceServicer_to_server(Servicer(intake, "traces"), self._server)
        add_MetricsServiceServicer_to_server(Servicer(intake, "metrics"), self._server)
        add_LogsServiceServicer_to_server(Servicer(intake, "logs"), self._server)
        self._server.add_insecure_port(f"127.0.0.1:{port}")
        before = set(threading.enumerate())
        self._server.start()
        # gRPC does not hand out its own thread; it is named after its function.
        self._threads = [
            thread
            for thread in set(threading.enumerate()) - before
            if "_serve" in thread.name
        ]

    def close(self) -> None:
        """Stop listening, cut open connections and wait for every thread."""
        self._server.stop(None).wait()
        self._workers.shutdown()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)


class Servicer:
    """Serves `Export` of one signal."""

    def __init__(self, intake: Intake, signal: Signal) -> None:
        self._intake = intake
        self._signal = signal

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 (its gRPC name)
        headers = {key: str(value) for key, value in context.invocation_metadata()}
        received = ReceivedRequest(self._signal, "grpc", headers)
        answer = self._intake.receive(received, request)
        if answer.status == OK:
            return CODECS[self._signal].response()
        code = _CODES.get(answer.status, grpc.StatusCode.UNKNOWN)
        details = f"switched to {answer.status}"
        if answer.retry_after is not None:
            context.set_trailing_metadata(_retry_metadata(answer, code, details))
        return context.abort(code, details)


def _retry_metadata(
    answer: Answer, code: grpc.StatusCode, details: str
) -> tuple[tuple[str, bytes], ...]:
    """Say when to retry both as gRPC servers do and as the Python exporter reads it."""
    delay = Duration()
    delay.FromNanoseconds(round((answer.retry_after or 0.0) * 1e9))
    retry = RetryInfo(retry_delay=delay)
    status = Status(code=code.value[0], message=details)
    status.details.add().Pack(retry)
    return (
        ("grpc-status-details-bin", status.SerializeToString()),
        ("google.rpc.retryinfo-bin", retry.SerializeToString()),
    )
