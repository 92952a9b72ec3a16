"""What both servers share: how to answer now, and where accepted data goes."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

from .decode import decode_logs, decode_points, decode_spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from .data import Protocol, ReceivedRequest, Signal

OK = 200
UNAVAILABLE = 503


@dataclass(frozen=True)
class Codec:
    """The protobuf types of one signal and the decoder into plain data."""

    request: Any
    response: Any
    decode: Callable[[Any], list[Any]]


CODECS: dict[Signal, Codec] = {
    "traces": Codec(
        traces.ExportTraceServiceRequest,
        traces.ExportTraceServiceResponse,
        decode_spans,
    ),
    "metrics": Codec(
        metrics.ExportMetricsServiceRequest,
        metrics.ExportMetricsServiceResponse,
        decode_points,
    ),
    "logs": Codec(
        logs.ExportLogsServiceRequest,
        logs.ExportLogsServiceResponse,
        decode_logs,
    ),
}


@dataclass(frozen=True)
class Answer:
    """How to answer: an HTTP status (gRPC maps it), and a hint when to come back."""

    status: int = OK
    retry_after: float | None = None
    hold: float = 0.0


class Intake:
    """The thread-safe store, and the switch that decides how requests are answered.

    Everything is guarded by one re-entrant condition, which is notified at every
    arrival, so that a waiting predicate may itself read the store.
    """

    def __init__(self) -> None:
        """Start empty, accepting everything."""
        self.changed = threading.Condition()
        self.items: dict[Signal, list[Any]] = {"traces": [], "metrics": [], "logs": []}
        self.requests: list[ReceivedRequest] = []
        self.accepted: Counter[tuple[Signal, Protocol]] = Counter()
        self.errors: list[BaseException] = []
        self._answer = Answer()
        self._times: int | None = None
        self._generation = 0
        self._open = True

    def receive(self, request: ReceivedRequest, message: Any) -> Answer:
        """Note a request, hold it where asked, store its data if it is accepted."""
        try:
            with self.changed:
                self.requests.append(request)
                answer = self._take()
                self.changed.notify_all()
                if answer.hold:
                    self._held(answer.hold)
                if not self._open:
                    return Answer(UNAVAILABLE)
                if answer.status == OK:
                    decoded = CODECS[request.signal].decode(message)
                    self.items[request.signal] += decoded
                    self.accepted[request.signal, request.protocol] += 1
                    self.changed.notify_all()
        except Exception as error:
            self.errors.append(error)
            raise
        else:
            return answer

    def switch(
        self, answer: Answer, *, times: int | None = None, accepting: bool = True
    ) -> None:
        """Answer so from now on (or `times` times), and let go what is held."""
        with self.changed:
            self._answer, self._times, self._open = answer, times, accepting
            self._generation += 1
            self.changed.notify_all()

    def clear(self) -> None:
        """Forget all data and requests."""
        with self.changed:
            for items in self.items.values():
                items.clear()
            self.requests.clear()
            self.accepted.clear()

    def _take(self) -> Answer:
        answer = self._answer
        if self._times is not None:
            self._times -= 1
            if self._times <= 0:
                self._answer, self._times = Answer(), None
        return answer

    def _held(self, seconds: float) -> None:
        generation = self._generation
        self.changed.wait_for(lambda: self._generation != generation, seconds)
