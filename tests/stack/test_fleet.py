from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from harness import start_program
from harness.asking import Client
from harness.backends import Prometheus, eventually
from realstack import free_port
from stagelight.fleet import Fleet, FleetError, Watched
from stagelight.server import serve_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.stack, pytest.mark.slow]
PROMETHEUS = shutil.which("prometheus")
if PROMETHEUS is None:
    pytest.skip("needs prometheus", allow_module_level=True)

#: One process: a slow stage behind a queue, scraped where the first line says.
PROGRAM = """
import queue, sys, threading, time
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import start_http_server
import stagelight

stagelight.configure(meter_provider=MeterProvider([PrometheusMetricReader()]))
server, _ = start_http_server(0, "127.0.0.1")
pipeline = stagelight.Pipeline("orders")
jobs = pipeline.queue(queue.Queue(20), "jobs")

@pipeline.stage
def parse(event):
    return event

@pipeline.stage
def price(event):
    time.sleep(0.01)
    if event % 10 == 0:
        raise LookupError(event)

def work():
    while True:
        try:
            price(jobs.get())
        except LookupError:
            pass

def feed():
    number = 0
    while True:
        number += 1
        jobs.put(parse(number))

for one in (work, feed):
    threading.Thread(target=one, daemon=True).start()
print("port", server.server_port, flush=True)
time.sleep(3000)
"""


RULES = """
groups:
- name: test
  rules:
  - alert: QueueNearlyFull
    expr: sum by (stagelight_pipeline_name) (stagelight_queue_size) > 40
    labels: {severity: warning}
    annotations: {summary: "{{ $labels.stagelight_pipeline_name }} is nearly full"}
  - alert: Failing
    expr: stagelight_stage_process_duration_seconds_count{error_type!=""} > 0
    labels: {severity: critical}
  - alert: OfSomebodyElse
    expr: vector(1)
  - alert: NotYet
    expr: stagelight_queue_size > 1000
"""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory) -> Iterator[tuple[str, list[int]]]:
    """A real Prometheus that scrapes three processes each second."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    programs = [
        start_program(PROGRAM, env={"OTEL_TRACES_EXPORTER": "none"}) for _ in range(3)
    ]
    for program in programs:
        program.__enter__()
    try:
        ports = [int(one.wait_for_line("port").split()[1]) for one in programs]
        targets = ", ".join(f"'127.0.0.1:{port}'" for port in ports)
        config = folder / "prometheus.yml"
        config.write_text(
            dedent(f"""
                global: {{scrape_interval: 1s, evaluation_interval: 1s}}
                rule_files: [{folder / "rules.yml"}]
                scrape_configs:
                - job_name: orders
                  static_configs: [{{targets: [{targets}]}}]
            """)
        )
        (folder / "rules.yml").write_text(RULES)
        port = free_port()
        server = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for_scrapes(url)
            yield url, ports
        finally:
            server.terminate()
            server.wait()
    finally:
        for program in programs:
            program.__exit__(None, None, None)


def wait_for_scrapes(url: str) -> None:
    """Wait until all three were scraped for some seconds."""
    deadline = time.monotonic() + 180
    query = f"{url}/api/v1/query?query=count(stagelight_queue_capacity%20offset%205s)"
    while time.monotonic() < deadline:
        time.sleep(0.5)
        try:
            with urllib.request.urlopen(query, timeout=2) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError:
            continue
        if result and result[0]["value"][1] == "3":
            return
    raise AssertionError("Prometheus did not scrape all three")


def calm(fleet: Fleet) -> dict:
    """What is told of seconds in which other work here held none of the three up.

    Each of them takes about 100 events a second then.
    """

    def ask():
        document = fleet.document()
        price = document["pipelines"]["orders"]["insight"]["stages"]["price"]
        return document if price["rate"] > 250 else None

    return eventually(ask, pause=1) or fleet.document()


def test_all_processes_are_shown_as_one(prometheus) -> None:
    """Counts, sizes and capacities are sums; the bottleneck and its way are found."""
    url, ports = prometheus
    fleet = Fleet(url, "orders", window=5)
    document = calm(fleet)
    assert document["instances"] == sorted(f"127.0.0.1:{port}" for port in ports)
    assert document["service"] == "orders"
    pipeline = document["pipelines"]["orders"]
    assert set(pipeline["stages"]) == {"parse", "price"}
    jobs = pipeline["queues"]["jobs"]
    assert jobs["capacity"] == 60
    assert 50 <= jobs["size"] <= 60
    assert pipeline["stages"]["price"]["inputs"] == ["jobs"]
    assert pipeline["stages"]["parse"]["outputs"] == ["jobs"]
    price = pipeline["insight"]["stages"]["price"]
    assert 100 < price["rate"] < 320
    assert 0.008 < price["duration"]["p50"] < 0.03
    assert price["errors"] / price["rate"] == pytest.approx(0.1, abs=0.02)
    assert pipeline["stages"]["price"]["errors"]["LookupError"] > 0
    assert pipeline["bottleneck"]["stage"] == "price"
    assert 2.5 < price["workers"] < 3.5
    assert pipeline["bottleneck"]["gain"] == pytest.approx(1 / 3, abs=0.08)


def test_one_process_is_a_part_of_all(prometheus) -> None:
    """The three instances together have the numbers of the whole."""
    url, _ = prometheus
    fleet = Fleet(url, "orders", window=5)
    names = fleet.document()["instances"]
    parts = [fleet.document(name)["pipelines"]["orders"] for name in names]
    assert [one["queues"]["jobs"]["capacity"] for one in parts] == [20, 20, 20]

    def rates() -> tuple[float, float]:
        """Of the parts together, and of the whole, asked one after the other."""
        found = [
            found["pipelines"]["orders"]["insight"]["stages"]["price"]["rate"]
            for found in [*map(fleet.document, names), calm(fleet)]
        ]
        return sum(found[:-1]), found[-1]

    for _ in range(10):
        together, whole = rates()
        if together == pytest.approx(whole, rel=0.1):
            break
    assert together == pytest.approx(whole, rel=0.1)


def test_alerts_of_the_service_are_shown(prometheus) -> None:
    """Those that fire for it, the gravest first, with words and since when."""
    url, _ = prometheus
    (began,) = Prometheus(url).query("min(process_start_time_seconds)").values()
    fleet = Fleet(url, "orders", window=5)
    deadline = time.monotonic() + 90
    while len(alerts := fleet.document()["alerts"]) < 4:
        assert time.monotonic() < deadline, alerts
        time.sleep(0.5)
    assert [one["name"] for one in alerts] == ["Failing"] * 3 + ["QueueNearlyFull"]
    assert {one["stage"] for one in alerts[:3]} == {"price"}
    assert len({one["instance"] for one in alerts[:3]}) == 3
    assert alerts[3]["summary"] == "orders is nearly full"
    assert began <= alerts[3]["began"] <= time.time()
    watched = Watched(fleet)
    with serve_source(watched, "127.0.0.1:0") as server:
        shown = Client(server.port)("/stats").json
    watched.close()
    assert [one["name"] for one in shown["alerts"]] == [one["name"] for one in alerts]
    assert shown["pipelines"]["orders"]["stages"]["price"]["errors"]["LookupError"] > 0


def test_page_and_top_show_the_fleet(prometheus) -> None:
    """The same page and command are fed from Prometheus, through the same document."""
    url, _ = prometheus
    watched = Watched(Fleet(url, None, window=5))
    with serve_source(watched, "127.0.0.1:0") as server:
        document = Client(server.port)("/stats").json
        one = document["instances"][0]
        assert Client(server.port)("/").status == 200
        assert Client(server.port)("/readyz").status == 200
        Client(server.port)(f"/stats?instance={one}")
    watched.close()
    assert document["pipelines"]["orders"]["queues"]["jobs"]["capacity"] == 60
    top = subprocess.run(
        [sys.executable, "-m", "stagelight", "top", "--once", "--prometheus", url],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "3 processes" in top.stdout
    assert "bottleneck price" in top.stdout


def test_what_is_not_there_is_told(prometheus) -> None:
    """An unknown service or process, or nobody at the address, is a clear error."""
    url, _ = prometheus
    with pytest.raises(FleetError, match="has no series of 'nobody'"):
        Fleet(url, "nobody").document()
    with pytest.raises(FleetError, match="has no process 'x'"):
        Fleet(url, "orders").document("x")
    with pytest.raises(FleetError, match="is a Prometheus there"):
        Fleet(f"http://127.0.0.1:{free_port()}").document()
    with pytest.raises(FleetError, match="is no http address"):
        Fleet("ftp://x")
