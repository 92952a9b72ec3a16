"""Run 50,000 events a second into the real stack, and count what got lost.

    python bench/load.py --seconds 60

Two runs, metrics only and with the default sampling: one thread passes events through
an observed stage, one in 5,000 fails. Then the collector's counts must be the
program's, exactly, and nobody may have refused or dropped anything.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from realstack import Ports, Stack, get  # noqa: E402 - the line above finds it

MODES = {
    "metrics only": {
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "STAGELIGHT_JOURNEYS_PER_SECOND": "0",
    },
    "default": {},
}
BURST = 0.01
LOSSES = (
    "otelcol_receiver_refused_spans",
    "otelcol_receiver_refused_metric_points",
    "otelcol_receiver_refused_log_records",
    "otelcol_exporter_send_failed_spans",
    "otelcol_exporter_send_failed_metric_points",
    "otelcol_exporter_send_failed_log_records",
    "otelcol_exporter_enqueue_failed_spans",
    "otelcol_exporter_enqueue_failed_metric_points",
    "otelcol_exporter_enqueue_failed_log_records",
)


def work(rate: int, seconds: float) -> None:
    """Be the observed program; print what it did as JSON."""
    import psutil

    import stagelight

    stagelight.configure(service_name="load")
    pipeline = stagelight.Pipeline("load")

    @pipeline.stage
    def handle(event: dict[str, int]) -> int:
        if event["id"] % 5000 == 0:
            raise ValueError(event["id"])
        return event["id"]

    process = psutil.Process()
    began, cpu = time.perf_counter(), process.cpu_times()
    number, lag = 0, 0.0
    while (elapsed := time.perf_counter() - began) < seconds:
        for _ in range(int(elapsed * rate) - number):
            number += 1
            with contextlib.suppress(ValueError):
                handle({"id": number})
        # How far a burst ends behind the time at which the next should begin.
        late = time.perf_counter() - began - elapsed - BURST
        lag = max(lag, late)
        time.sleep(max(-late, 0))
    seconds = time.perf_counter() - began
    spent = process.cpu_times()
    stagelight.shutdown()
    stats = pipeline.stats()
    print(
        json.dumps(
            {
                "events": number,
                "rate": number / seconds,
                "cpu": (spent.user + spent.system - cpu.user - cpu.system) / seconds,
                "late": lag,
                "counted": stats["stages"]["handle"]["outcomes"],
                "rss": process.memory_info().rss,
            }
        )
    )


def series(url: str, name: str, job: str = "") -> float:
    """Sum a metric's series in a Prometheus exposition."""
    pattern = rf"^{name}(?:_total)?(\{{.*\}})? (\S+)"
    found = re.findall(pattern, get(url), re.MULTILINE)
    return sum(float(value) for labels, value in found if job in labels)


def measure(mode: str, rate: int, seconds: float) -> dict[str, object]:
    """Run one mode into a stack of its own."""
    with tempfile.TemporaryDirectory() as folder:
        ports = Ports.free()
        stack = Stack(Path(folder), ports=ports)
        with stack:
            env = {
                **os.environ,
                **MODES[mode],
                "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_url,
            }
            command = [sys.executable, __file__, "--work", str(rate), str(seconds)]
            done = subprocess.run(
                command, env=env, capture_output=True, text=True, check=True
            )
            seen: dict[str, object] = json.loads(done.stdout)
            time.sleep(2)  # for the last batch to leave the collector
            exposed = f"http://127.0.0.1:{ports.collector_metrics}/metrics"
            own = f"http://127.0.0.1:{ports.collector_self}/metrics"
            consumed = "stagelight_stage_consumed_events_total"
            seen["in prometheus format"] = series(exposed, consumed, 'job="load"')
            dropped = "stagelight_telemetry_dropped_total"
            seen["lost by the program"] = series(exposed, dropped, 'job="load"')
            seen["lost by the collector"] = sum(series(own, one) for one in LOSSES)
            seen["spans"] = series(own, "otelcol_receiver_accepted_spans")
            seen["spans sent"] = series(own, "otelcol_exporter_sent_spans")
            seen["logs"] = series(own, "otelcol_receiver_accepted_log_records")
            seen["warnings"] = done.stderr
            seen["collector rss"] = series(own, "otelcol_process_memory_rss")
            cpu = series(own, "otelcol_process_cpu_seconds")
            uptime = series(own, "otelcol_process_uptime")
            seen["collector cpu"] = cpu / max(uptime, 1)
    return seen


def main() -> None:
    """Measure both modes, and print the figures."""
    parser = argparse.ArgumentParser(description="Load test into the real stack.")
    parser.add_argument("--rate", type=int, default=50_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(int(options.work[0]), float(options.work[1]))
        return
    found = {mode: measure(mode, options.rate, options.seconds) for mode in MODES}
    for mode, seen in found.items():
        print(mode)
        for name, value in seen.items():
            shown = f"{value:,.3f}" if isinstance(value, float) else value
            print(f"  {name:22} {shown}")
    if options.json:
        options.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
