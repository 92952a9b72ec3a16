"""A real OTLP receiver for tests: gRPC and HTTP in, plain data out."""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from .data import Protocol, Signal
from .intake import UNAVAILABLE, Answer, Intake
from .over_grpc import GrpcServer
from .over_http import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from .data import ReceivedLog, ReceivedPoint, ReceivedRequest, ReceivedSpan

T = TypeVar("T")


class OtlpReceiver:
    """Receives OTLP over gRPC and HTTP on two loopback ports, inside `with`.

    Both endpoints stay the same for the receiver's life, through `refuse` and
    `recover`. Leaving the block stops all threads, closes all sockets, and raises
    what went wrong inside the receiver itself, if anything did.
    """

    def __init__(self) -> None:
        """Create a closed receiver; `with` opens it."""
        self._intake = Intake()
        self._held_ports = ExitStack()
        self._servers: list[GrpcServer | HttpServer] = []
        self._http_port = 0
        self._grpc_port = 0

    def __enter__(self) -> Self:
        """Take two ports and serve on them."""
        self._http_port = self._hold_port()
        self._grpc_port = self._hold_port()
        try:
            self.recover()
        except BaseException:
            self.refuse()
            self._held_ports.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut everything down; report the receiver's own errors."""
        self.refuse()
        self._held_ports.close()
        if error is None and self._intake.errors:
            raise self._intake.errors[0]

    # Where to send

    @property
    def http_endpoint(self) -> str:
        """The base address for OTLP/HTTP; signals are below `/v1/`."""
        return f"http://127.0.0.1:{self._http_port}"

    @property
    def grpc_endpoint(self) -> str:
        """The address for OTLP/gRPC."""
        return f"http://127.0.0.1:{self._grpc_port}"

    def environment(self, protocol: Protocol) -> dict[str, str]:
        """Return the variables that make a program export to this receiver."""
        if protocol not in get_args(Protocol):
            raise ValueError(
                f"unknown protocol {protocol!r}, use one of {get_args(Protocol)}"
            )
        over_grpc = protocol == "grpc"
        return {
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_ENDPOINT": (
                self.grpc_endpoint if over_grpc else self.http_endpoint
            ),
        }

    # What came

    def spans(self) -> list[ReceivedSpan]:
        """Return all spans in order of arrival."""
        return self._items("traces")

    def logs(self) -> list[ReceivedLog]:
        """Return all log records in order of arrival."""
        return self._items("logs")

    def metrics(self) -> list[ReceivedPoint]:
        """Return all data points of all metrics in order of arrival."""
        return self._items("metrics")

    def points(self, name: str) -> list[ReceivedPoint]:
        """Return all data points of one metric in order of arrival."""
        return [point for point in self.metrics() if point.metric == name]

    def last(self, name: str, **attributes: object) -> list[ReceivedPoint]:
        """Return the newest point of each series that has these attributes.

        Only cumulative points and gauges count: of a delta, the last one says little.
        A dotted attribute is given as `**{"stagelight.stage.name": "parse"}`.
        """
        newest: dict[str, ReceivedPoint] = {}
        for point in self.points(name):
            wanted = attributes.items() <= point.attributes.items()
            if point.temporality == "delta" or not wanted:
                continue
            series = repr((_sorted(point.resource), _sorted(point.attributes)))
            series += repr(point.scope)
            known = newest.get(series)
            if known is None or known.time_ns <= point.time_ns:
                newest[series] = point
        return list(newest.values())

    @property
    def requests(self) -> Counter[tuple[Signal, Protocol]]:
        """Requests that arrived, by signal and protocol, whatever the answer."""
        return Counter((seen.signal, seen.protocol) for seen in self._arrived())

    @property
    def accepted(self) -> Counter[tuple[Signal, Protocol]]:
        """Requests whose data was stored, by signal and protocol."""
        with self._intake.changed:
            return Counter(self._intake.accepted)

    @property
    def headers(self) -> list[dict[str, str]]:
        """The headers (gRPC: metadata) of each request, keys in lower case."""
        return [seen.headers for seen in self._arrived()]

    def clear(self) -> None:
        """Forget everything received so far."""
        self._intake.clear()

    def wait_for(self, predicate: Callable[[], T], timeout: float = 60) -> T:
        """Wait until the predicate is true and return its value.

        It is asked again whenever a request arrives or is stored; it runs under the
        store's lock, so it may read this receiver and should do nothing else.
        """
        with self._intake.changed:
            result = self._intake.changed.wait_for(predicate, timeout)
            if not result:
                raise TimeoutError(
                    f"nothing fitting in {timeout} s; received {self._summary()}"
                )
            return result

    # How to answer

    def answer(
        self,
        status: int = UNAVAILABLE,
        *,
        retry_after: float | None = None,
        times: int | None = None,
    ) -> None:
        """Answer this HTTP status (its gRPC code), always or the next few times.

        `retry_after` becomes the Retry-After header in whole seconds, and RetryInfo.
        """
        self._intake.switch(Answer(status, retry_after), times=times)

    def hang(self, seconds: float) -> None:
        """Hold each request this long, or until switched over; then accept it."""
        self._intake.switch(Answer(hold=seconds))

    def refuse(self) -> None:
        """Close both listening sockets and cut all connections, as a crash does."""
        self._intake.switch(Answer(), accepting=False)
        while self._servers:
            self._servers.pop().close()

    def recover(self) -> None:
        """Answer normally again, on the same ports; what is held is let go."""
        self._intake.switch(Answer())
        if not self._servers:
            self._servers.append(HttpServer(self._intake, self._http_port))
            self._servers.append(GrpcServer(self._intake, self._grpc_port))

    def _hold_port(self) -> int:
        """Bind a port and never listen on it, so that nobody else is given it."""
        holder = self._held_ports.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        return port

    def _items(self, signal: Signal) -> list[Any]:
        with self._intake.changed:
            return list(self._intake.items[signal])

    def _arrived(self) -> list[ReceivedRequest]:
        with self._intake.changed:
            return list(self._intake.requests)

    def _summary(self) -> str:
        spans = Counter(span.name for span in self.spans())
        logs = Counter(log.event_name or log.body for log in self.logs())
        points = Counter(point.metric for point in self.metrics())
        return (
            f"requests {dict(self.requests)}, spans {dict(spans)}, "
            f"logs {dict(logs)}, points {dict(points)}"
        )


def _sorted(attributes: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(attributes.items())
