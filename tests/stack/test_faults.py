"""What the collector acknowledged is not lost, whatever fails around it.

Each scenario has its own collector, and where Jaeger itself fails its own Jaeger. All
run side by side, started by the first test that asks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psutil
import pytest

from harness import OtlpReceiver
from harness.backends import Jaeger, eventually
from harness.sender import Sender
from realstack import Ports, get
from realstack.stack import collector as make_collector
from realstack.stack import jaeger as make_jaeger

MEBIBYTE = 1 << 20
#: Seconds of an outage: STACK_OUTAGE=60 pytest -s tests/stack/test_faults.py
OUTAGE = float(os.environ.get("STACK_OUTAGE", "15"))


@dataclass
class Outcome:
    """What a scenario saw."""

    acknowledged: set[int]
    given_up: set[int]
    arrived: set[int]
    collector_rss: int = 0


def numbers(receiver):
    """Numbers of the spans that a receiver took."""
    return {span.attributes["number"] for span in receiver.spans()}


def in_jaeger(jaeger, service):
    """Numbers of the spans that Jaeger stores."""
    traces = jaeger.traces(service)
    return {
        int(span.attributes["number"])
        for spans in traces.values()
        for span in spans
        if span.name == "one"
    }


def settle(sender, arrived):
    """Wait until all that was acknowledged has arrived, and tell what did."""
    eventually(lambda: sender.acknowledged <= arrived(), timeout=180, pause=0.5)
    return Outcome(sender.acknowledged, sender.given_up, arrived())


def result(future):
    """Wait for a scenario, and print what it saw: pytest shows it where it fails."""
    outcome = future.result()
    print(
        f"{len(outcome.acknowledged)} acknowledged, {len(outcome.given_up)} given up, "
        f"{len(outcome.arrived)} arrived, "
        f"{len(outcome.acknowledged - outcome.arrived)} lost; "
        f"collector {outcome.collector_rss / MEBIBYTE:.0f} MiB"
    )
    return outcome


@contextmanager
def watched_memory(server):
    """The most memory that a server has had, in a list of one number."""
    most = [0]
    stop = threading.Event()

    def watch():
        while not stop.wait(0.1):
            try:
                most[0] = max(most[0], psutil.Process(server.pid).memory_info().rss)
            except psutil.NoSuchProcess:
                continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        stop.set()
        thread.join()


@contextmanager
def serving(folder, **env):
    """A collector of our own that sends to a receiver of ours, and what to send to."""
    ports = Ports.free()
    with OtlpReceiver() as backend:
        env = {
            "JAEGER_OTLP_ENDPOINT": backend.grpc_endpoint.removeprefix("http://"),
            **env,
        }
        with make_collector(folder, ports, env) as collector:
            yield collector, backend, f"http://127.0.0.1:{ports.otlp_http}", ports


@contextmanager
def serving_jaeger(folder):
    """A collector and a Jaeger of our own."""
    ports = Ports.free()
    with (
        make_jaeger(folder, ports) as jaeger,
        make_collector(folder, ports) as collector,
    ):
        yield collector, jaeger, ports


def collector_killed(folder):
    """Kill the collector three times while spans flow."""
    with serving_jaeger(folder) as (collector, _, ports):
        with Sender(f"http://127.0.0.1:{ports.otlp_http}", "killed") as sender:
            for _ in range(3):
                sender.wait_until(500)
                collector.kill()
                time.sleep(0.5)
                collector.start()
                collector.wait_ready()
            sender.wait_until(500)
        jaeger = Jaeger(f"http://127.0.0.1:{ports.jaeger_http}")
        return settle(sender, lambda: in_jaeger(jaeger, "killed"))


def jaeger_down(folder):
    """Kill Jaeger; kill the collector as well while it waits for Jaeger."""
    with serving_jaeger(folder) as (collector, server, ports):
        with (
            watched_memory(collector) as most,
            Sender(f"http://127.0.0.1:{ports.otlp_http}", "down") as sender,
        ):
            sender.wait_until(500)
            server.kill()
            time.sleep(OUTAGE / 2)
            collector.kill()
            collector.start()
            collector.wait_ready()
            time.sleep(OUTAGE / 2)
            server.start()
            server.wait_ready()
            sender.wait_until(500)
        jaeger = Jaeger(f"http://127.0.0.1:{ports.jaeger_http}")
        outcome = settle(sender, lambda: in_jaeger(jaeger, "down"))
        return replace(outcome, collector_rss=most[0])


def collector_stopped(folder):
    """Stop the collector in order while its backend is down, as an upgrade does."""
    with serving(folder) as (collector, backend, url, _):
        with Sender(url, "stopped") as sender:
            sender.wait_until(500)
            backend.refuse()
            sender.wait_until(500)
            collector.stop()
            collector.start()
            collector.wait_ready()
            sender.wait_until(500)
            backend.recover()
        return settle(sender, lambda: numbers(backend))


def slow_backend(folder):
    """Answer each request after two seconds for a while."""
    with serving(folder) as (collector, backend, url, _):
        with (
            watched_memory(collector) as most,
            Sender(url, "slow", patience=60) as sender,
        ):
            backend.hang(2)
            time.sleep(OUTAGE)
            backend.recover()
        outcome = settle(sender, lambda: numbers(backend))
        return replace(outcome, collector_rss=most[0])


def large_payloads(folder):
    """Send 10 MB in one request over grpc; the backend takes 4 MiB at most."""
    with serving(folder) as (collector, backend, _, ports):
        url = f"http://127.0.0.1:{ports.otlp_grpc}"
        with (
            watched_memory(collector) as most,
            Sender(
                url, "large", over_grpc=True, size=200_000, pause=0.2, patience=60
            ) as sender,
        ):
            sender.wait_until(500)
        outcome = settle(sender, lambda: numbers(backend))
        return replace(outcome, collector_rss=most[0])


def disk_full(folder):
    """Fill the disk that the queue is on, while the backend is down."""
    ports = Ports.free()
    queue = folder / "queue"
    queue.mkdir()
    with OtlpReceiver() as backend:
        env = {"JAEGER_OTLP_ENDPOINT": backend.grpc_endpoint.removeprefix("http://")}
        collector = make_collector(folder, ports, env)
        mount = f'mount -t tmpfs -o size=16m tmpfs {queue} && exec "$@"'
        collector.wrap(
            "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"
        )
        with collector:
            url = f"http://127.0.0.1:{ports.otlp_http}"
            backend.refuse()
            with Sender(url, "disk", size=2000, pause=0.02) as sender:
                eventually(lambda: len(sender.given_up) > 100, timeout=180)
                # Still alive, with a full disk.
                get(f"http://127.0.0.1:{ports.collector_health}/")
                backend.recover()
                sender.wait_until(500, timeout=180)
            return settle(sender, lambda: numbers(backend))


def queue_full(folder):
    """Fill the queue up to its limit, here 300 kB, while the backend is down."""
    ports = Ports.free()
    limit = folder / "limit.yaml"
    limit.write_text(
        "exporters: {otlp_grpc/jaeger: {sending_queue: {queue_size: 300000}}}"
    )
    with OtlpReceiver() as backend:
        env = {"JAEGER_OTLP_ENDPOINT": backend.grpc_endpoint.removeprefix("http://")}
        server = make_collector(folder, ports, env)
        server.add_arguments("--config", str(limit))
        with server:
            backend.refuse()
            url = f"http://127.0.0.1:{ports.otlp_http}"
            with Sender(url, "full", size=500, pause=0.02) as sender:
                eventually(lambda: len(sender.given_up) > 100, timeout=180)
                backend.recover()
                sender.wait_until(500, timeout=180)
            return settle(sender, lambda: numbers(backend))


SCENARIOS = (
    collector_killed,
    jaeger_down,
    collector_stopped,
    slow_backend,
    large_payloads,
    disk_full,
    queue_full,
)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, stack):
    """Every scenario's outcome, as a future."""
    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        yield {
            scenario.__name__: pool.submit(
                scenario, tmp_path_factory.mktemp(scenario.__name__)
            )
            for scenario in SCENARIOS
            if scenario is not disk_full or can_mount()
        }


def can_mount():
    """Whether a small disk of our own can be had here."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    words = ["unshare", "--user", "--map-root-user", "--mount"]
    words += ["mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def test_collector_killed(outcomes):
    """SIGKILL in mid-run, three times: all that was acknowledged is in Jaeger."""
    outcome = result(outcomes["collector_killed"])
    assert len(outcome.acknowledged) >= 2000
    assert outcome.acknowledged - outcome.arrived == set()


def test_jaeger_down(outcomes):
    """Jaeger down, the collector killed meanwhile: nothing acknowledged is lost."""
    outcome = result(outcomes["jaeger_down"])
    assert len(outcome.acknowledged) >= 1000
    assert outcome.acknowledged - outcome.arrived == set()
    assert outcome.collector_rss < 250 * MEBIBYTE


def test_collector_stopped(outcomes):
    """SIGTERM while the backend is down keeps the queue for the next start."""
    outcome = result(outcomes["collector_stopped"])
    assert len(outcome.acknowledged) >= 1500
    assert outcome.acknowledged - outcome.arrived == set()


def test_slow_backend(outcomes):
    """A backend that takes two seconds a request delays, and loses nothing."""
    outcome = result(outcomes["slow_backend"])
    assert not outcome.given_up
    assert outcome.acknowledged - outcome.arrived == set()
    assert outcome.collector_rss < 250 * MEBIBYTE


def test_large_payloads(outcomes):
    """Requests of 10 MB are taken, and cut below the backend's 4 MiB."""
    outcome = result(outcomes["large_payloads"])
    assert not outcome.given_up
    assert outcome.acknowledged - outcome.arrived == set()
    assert outcome.collector_rss < 500 * MEBIBYTE


def test_disk_full(outcomes):
    """A full disk refuses what it has no room for, and loses nothing that it took."""
    if "disk_full" not in outcomes:
        pytest.skip("no mount namespace can be had, so no small disk")
    outcome = result(outcomes["disk_full"])
    assert outcome.given_up
    assert outcome.acknowledged - outcome.arrived == set()


def test_queue_full(outcomes):
    """A full queue refuses, so that senders know, and loses nothing that it took."""
    outcome = result(outcomes["queue_full"])
    assert outcome.given_up
    assert outcome.acknowledged - outcome.arrived == set()
