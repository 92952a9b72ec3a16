"""Measure what observing one stage call costs, beside the other ways to do it.

Every contestant runs in an interpreter of its own, and all take turns, round after
round, so that a busy machine slows them alike. In each round it takes the best of
several loops, less the best of as many loops over its own bare twin. A row is the
median over the rounds; the ratios are medians of the rounds' own ratios. The stage
does nothing: what is left is the observer.

    python bench/overhead.py [--rounds 7] [--calls 20000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Stage = Callable[[object], object]
#: What a contestant's own calls cost without an observer; by default ``stage``.
TWIN: list[Stage] = []
#: What stagelight's own points carry.
ATTRIBUTES = {"pipeline": "bench", "stage": "stage", "outcome": "success"}


def stage(event: object) -> object:
    """Do nothing."""
    return event


def ours_metrics() -> Stage:
    """Stagelight with no tracer provider: counts, histogram, in flight, worker time."""
    import stagelight

    return stagelight.Pipeline("bench").stage(stage, name="stage")


def ours_object() -> Stage:
    """The same for an object with ``.process(event)``."""
    import stagelight

    class Stage:
        def process(self, event: object) -> object:
            return event

    plain = Stage()
    observed = stagelight.Pipeline("bench").stage(plain)
    # As user code calls it: the attribute is looked up for every event.
    TWIN.append(lambda event: plain.process(event))  # noqa: PLW0108
    return lambda event: observed.process(event)  # noqa: PLW0108


def ours_decorated() -> Stage:
    """The same by the decorator."""
    import stagelight

    @stagelight.Pipeline("bench").stage
    def decorated(event: object) -> object:
        return event

    return decorated


def _ours_traced(journeys_per_second: float | None) -> Stage:
    import stagelight
    from stagelight import _setup

    tracing, _ = _sdk()
    _setup.adopt(tracer_provider=tracing, journeys_per_second=journeys_per_second)

    @stagelight.Pipeline("bench").stage
    def traced(event: object) -> object:
        return event

    return traced


def ours_default() -> Stage:
    """Stagelight in default mode: 50 journeys a second are recorded, all have ids."""
    return _ours_traced(50)


def ours_sampled() -> Stage:
    """Stagelight with every journey recorded: two spans a call, metrics."""
    return _ours_traced(None)


def _sdk() -> tuple[Any, Any]:
    """SDK providers with a real batch processor, whose exporter throws spans away."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    class Discard(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002
            return SpanExportResult.SUCCESS

    tracing = TracerProvider(shutdown_on_exit=False)
    # The queue is large enough not to log that it is full.
    processor = BatchSpanProcessor(Discard(), max_queue_size=2**20)
    tracing.add_span_processor(processor)
    metering = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    return tracing, metering


def _otel_instruments(metering: Any) -> tuple[Any, Any]:
    meter = metering.get_meter("bench")
    histogram = meter.create_histogram("stage.duration", unit="s")
    counter = meter.create_counter("stage.events", unit="{event}")
    return histogram, counter


def otel_metrics() -> Stage:
    """Hand-written OpenTelemetry: ``Histogram.record`` and ``Counter.add``."""
    _, metering = _sdk()
    histogram, counter = _otel_instruments(metering)
    attributes = ATTRIBUTES
    clock = time.perf_counter

    def observed(event: object) -> object:
        start = clock()
        try:
            return stage(event)
        finally:
            histogram.record(clock() - start, attributes)
            counter.add(1, attributes)

    return observed


def otel_all() -> Stage:
    """Hand-written OpenTelemetry: a recording span, histogram and counter."""
    tracing, metering = _sdk()
    tracer = tracing.get_tracer("bench")
    histogram, counter = _otel_instruments(metering)
    attributes = ATTRIBUTES
    clock = time.perf_counter

    def observed(event: object) -> object:
        start = clock()
        with tracer.start_as_current_span("stage", attributes=attributes):
            try:
                return stage(event)
            finally:
                histogram.record(clock() - start, attributes)
                counter.add(1, attributes)

    return observed


def prometheus() -> Stage:
    """prometheus_client: ``Histogram.observe`` and ``Counter.inc``, labels bound."""
    from prometheus_client import Counter, Histogram

    histogram = Histogram("stage_seconds", "d", ["stage"]).labels("stage")
    counter = Counter("stage_events", "d", ["stage"]).labels("stage")
    clock = time.perf_counter

    def observed(event: object) -> object:
        start = clock()
        try:
            return stage(event)
        finally:
            histogram.observe(clock() - start)
            counter.inc()

    return observed


def logfire() -> Stage:
    """``logfire.instrument``: a span a call, nothing sent."""
    import logfire

    logfire.configure(send_to_logfire=False, console=False, inspect_arguments=False)
    return logfire.instrument("stage", extract_args=False)(stage)


CONTESTANTS: dict[str, Callable[[], Stage]] = {
    "stagelight, metrics only": ours_decorated,
    "stagelight, metrics only, pipeline.stage(function)": ours_metrics,
    "stagelight, metrics only, object.process": ours_object,
    "stagelight, default (50 journeys/s)": ours_default,
    "stagelight, every journey": ours_sampled,
    "prometheus_client histogram + counter": prometheus,
    "OpenTelemetry histogram + counter": otel_metrics,
    "OpenTelemetry span + histogram + counter": otel_all,
    "logfire.instrument": logfire,
}
PROMETHEUS = "prometheus_client histogram + counter"
OTEL = "OpenTelemetry histogram + counter"


def measure(make: Callable[[], Stage], calls: int) -> None:
    """Run as a contestant: for each line on stdin, print microseconds per call."""
    observed = make()
    twin = TWIN[0] if TWIN else stage
    for event in range(1000):
        observed(event)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        cost = min(loop(observed, calls) for _ in range(3))
        cost -= min(loop(twin, calls) for _ in range(3))
        sys.stdout.write(f"{cost / calls * 1e6}\n")
        sys.stdout.flush()


def loop(function: Stage, calls: int) -> float:
    """Seconds that many calls take."""
    events = range(calls)
    start = time.perf_counter()
    for event in events:
        function(event)
    return time.perf_counter() - start


class Contestant:
    """One contestant in an interpreter of its own."""

    def __init__(self, name: str, calls: int) -> None:
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("OTEL_", "STAGELIGHT_", "LOGFIRE_"))
        }
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--contestant", name, "--calls", str(calls)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._line()

    def _line(self) -> str:
        stdout = self._process.stdout
        line = stdout.readline() if stdout else ""
        if not line:
            raise SystemExit(f"bench: {self.name} ended; see its error above")
        return line

    def round(self) -> float:
        """One round: microseconds per call."""
        stdin = self._process.stdin
        if stdin is not None:
            stdin.write("\n")
            stdin.flush()
        return float(self._line())

    def close(self) -> None:
        """End it."""
        self._process.communicate("")


def run(rounds: int, calls: int) -> dict[str, dict[str, float]]:
    """All contestants in turns.

    Args:
        rounds: How many turns each takes.
        calls: Calls in one loop.

    Returns:
        Contestant to its cost per call in microseconds, and its ratios to
        prometheus_client and to hand-written OpenTelemetry metrics.
    """
    contestants = [Contestant(name, calls) for name in CONTESTANTS]
    turns: list[dict[str, float]] = []
    try:
        turns += [{one.name: one.round() for one in contestants} for _ in range(rounds)]
    finally:
        for one in contestants:
            one.close()
    return {
        name: {
            "us": statistics.median(turn[name] for turn in turns),
            "prometheus": statistics.median(
                turn[name] / turn[PROMETHEUS] for turn in turns
            ),
            "otel": statistics.median(turn[name] / turn[OTEL] for turn in turns),
        }
        for name in CONTESTANTS
    }


def table(results: dict[str, dict[str, float]]) -> str:
    """The results as the table that the README shows."""
    lines = [
        "| observed by | us per call | x prometheus_client | x OTel metrics |",
        "|---|---:|---:|---:|",
    ]
    for name, row in results.items():
        cells = f"{row['us']:.2f} | {row['prometheus']:.2f} | {row['otel']:.3f}"
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--json", type=Path, help="write the results there as well")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        measure(CONTESTANTS[options.contestant], options.calls)
        return
    results = run(options.rounds, options.calls)
    print(f"Python {sys.version.split()[0]}, {options.rounds} rounds\n")
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
