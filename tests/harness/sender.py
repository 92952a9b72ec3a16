"""Sends numbered spans without end, and notes which ones were acknowledged."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpExporter,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (
    SimpleSpanProcessor,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

if TYPE_CHECKING:
    from typing_extensions import Self

BATCH = 50


class Sender:
    """Sends batches of 50 spans, one trace each, from a thread, inside `with`.

    Args:
        endpoint: A base address; its port decides on nothing.
        service: The spans' `service.name`.
        over_grpc: Whether to send by grpc instead of http/protobuf.
        pause: Seconds between two batches.
        size: Bytes of padding in each span.
        patience: Seconds after which a batch is given up.
    """

    def __init__(  # noqa: PLR0913 - all are named, most are rare
        self,
        endpoint: str,
        service: str,
        *,
        over_grpc: bool = False,
        pause: float = 0.05,
        size: int = 0,
        patience: float = 3,
    ) -> None:
        """Prepare to send."""
        #: Numbers of spans whose export was answered with success, and of others.
        self.acknowledged: set[int] = set()
        self.given_up: set[int] = set()
        self._exporter = (
            GrpcExporter(endpoint=endpoint, insecure=True, timeout=patience)
            if over_grpc
            else HttpExporter(endpoint=f"{endpoint}/v1/traces", timeout=patience)
        )
        self._pause = pause
        self._padding = "x" * size
        self._made = InMemorySpanExporter()
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource({"service.name": service}),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(SimpleSpanProcessor(self._made))
        self._tracer = provider.get_tracer("sender")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, name="sender", daemon=True)

    def __enter__(self) -> Self:
        """Start sending."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send no more; wait until the last batch is answered or given up."""
        self._stop.set()
        self._thread.join()
        self._exporter.shutdown()

    def wait_until(self, number: int, timeout: float = 120) -> None:
        """Wait until so many more spans are acknowledged."""
        wanted = len(self.acknowledged) + number
        deadline = time.monotonic() + timeout
        while len(self.acknowledged) < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{len(self.acknowledged)} spans acknowledged, {wanted} wanted"
                )
            time.sleep(0.02)

    def _send(self) -> None:
        number = 0
        while not self._stop.wait(self._pause):
            numbers = range(number, number + BATCH)
            number += BATCH
            with self._tracer.start_as_current_span("batch"):
                for one in numbers:
                    attributes = {"number": one, "padding": self._padding}
                    self._tracer.start_span("one", attributes=attributes).end()
            spans = [s for s in self._made.get_finished_spans() if s.name == "one"]
            self._made.clear()
            result = self._exporter.export(spans)
            done = result is SpanExportResult.SUCCESS
            (self.acknowledged if done else self.given_up).update(numbers)
