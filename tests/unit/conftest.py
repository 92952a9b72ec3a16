"""What unit tests share: a fresh registry, strict guards, a clock that we move."""

from __future__ import annotations

import importlib
import logging
import sys
import time
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

# Those that are loaded late are to have the clock that a test may choose.
import stagelight
import stagelight._metrics._look
import stagelight._queue._threads
from stagelight import _guard, _workers
from stagelight._extension import NATIVE
from stagelight._journey import TASK_TURN
from stagelight._registry import REGISTRY
from stagelight._tracer import TRACER

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Give each test an empty registry, and raise our own errors in it."""
    before = dict(REGISTRY.pipelines)
    tracing = (TRACER.provider, TRACER.budget, TRACER.enabled)
    REGISTRY.pipelines.clear()
    worker = _workers.this_worker()
    worker.reset(_workers.ALERT[0])
    worker.slots.clear()
    TASK_TURN.set(None)
    _guard.reset()
    _guard.STRICT.on = True
    try:
        yield
    finally:
        _guard.STRICT.on = False
        TRACER.provider, TRACER.budget, TRACER.enabled = tracing
        TRACER.followed = False
        TRACER.refresh(anew=True)
        _guard.reset()
        REGISTRY.pipelines.clear()
        REGISTRY.pipelines.update(before)


@pytest.fixture
def pipeline() -> stagelight.Pipeline:
    """A pipeline without stages."""
    return stagelight.Pipeline("unit")


@pytest.fixture
def lenient() -> None:
    """Let our own errors only be counted, as in production."""
    _guard.STRICT.on = False


class SteppingClock:
    """A monotonic clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_000_000_000_000

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move it."""
        self.now += round(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SteppingClock]:
    """The clock of everything that is observed after this point."""
    stepping = SteppingClock()
    importlib.import_module("stagelight._queue._threads")  # else only with a queue
    for name, module in list(sys.modules.items()):
        if (
            name.startswith("stagelight.")
            and getattr(module, "clock", None) is time.perf_counter_ns
        ):
            monkeypatch.setattr(module, "clock", stepping)
    if NATIVE is not None:
        NATIVE.use_clock(stepping)
    yield stepping
    if NATIVE is not None:
        NATIVE.use_clock(None)


class Spans:
    """Finished spans, in the order of their ends."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("user")

    def all(self) -> list:
        """Every finished span."""
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list:
        """Finished spans of one name."""
        return [span for span in self.all() if span.name == name]

    def tree(self) -> list[tuple[str, str | None]]:
        """Name of each span, and of its parent."""
        names = {span.context.span_id: span.name for span in self.all()}
        return [
            (span.name, names[span.parent.span_id] if span.parent else None)
            for span in self.all()
        ]


@pytest.fixture
def spans(caplog: pytest.LogCaptureFixture) -> Iterator[Spans]:
    """Trace every journey into memory, and hold OpenTelemetry to silence."""
    captured = Spans()
    TRACER.configure(captured.provider, None)
    with caplog.at_level(logging.WARNING, "opentelemetry"):
        yield captured
    captured.provider.shutdown()
    logged = [
        record.getMessage()
        for when in ("setup", "call")
        for record in caplog.get_records(when)
        if record.name.startswith("opentelemetry")
    ]
    assert logged == []
