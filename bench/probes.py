"""How fast probes answer while the program gives them no time.

    python bench/probes.py

Each row asks by a fresh connection, as an orchestrator does: from another process,
twenty times a second. The watchdog is the process that `serve(watchdog=...)` adds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time

import stagelight

COUNT = 200
EVERY = 0.05
BLOCKED = 12.0


def ask(port: int) -> float:
    """Seconds from connecting to the whole answer."""
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), 20) as peer:
        peer.sendall(b"GET /livez HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        data = b""
        while part := peer.recv(4096):
            data += part
    if b" 200 " not in data.splitlines()[0]:
        sys.exit(f"answered {data[:80]!r}")
    return time.perf_counter() - began


def measure(port: int, count: int) -> None:
    """Ask, and print the quantiles in milliseconds."""
    took = []
    for _ in range(count):
        time.sleep(EVERY)
        took.append(ask(port) * 1000)
    took.sort()
    print(*(f"{took[min(int(q * count), count - 1)]:.1f}" for q in (0.5, 0.99, 1)))


def asked(port: int, count: int) -> str:
    """The quantiles as a process of its own measures them."""
    return subprocess.run(
        [sys.executable, __file__, "--port", str(port), "--count", str(count)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def spin(until: threading.Event) -> None:
    """Use the interpreter lock for nothing."""
    number = 0
    while not until.is_set():
        for _ in range(1000):
            number += 1


def block(seconds: float) -> threading.Thread:
    """An event loop that is blocked, in a thread of its own."""

    async def main() -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - this is what is measured

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    return thread


def rows(server: stagelight.Server, count: int) -> None:
    """Measure each state of the program, and print a line for both servers."""
    watchdog = int((server.watchdog_url or "").rstrip("/").rpartition(":")[2])

    def row(name: str) -> None:
        inside, beside = asked(server.port, count), asked(watchdog, count)
        print(
            f"| {name} | {' | '.join(inside.split())} | {' | '.join(beside.split())} |"
        )

    row("idle")
    with contextlib.ExitStack() as stack:
        busy = [
            subprocess.Popen([sys.executable, "-c", "while True: pass"])
            for _ in range(2)
        ]
        for process in busy:
            stack.callback(process.kill)
        thread = block(count * EVERY * 2 + 4)
        row("event loop blocked, both cores busy")
        thread.join()
    for number in (1, 4, 16):
        until = threading.Event()
        threads = [threading.Thread(target=spin, args=(until,)) for _ in range(number)]
        for one in threads:
            one.start()
        row(f"{number} threads compute")
        until.set()
        for one in threads:
            one.join()


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description="How fast probes answer.")
    parser.add_argument("--port", type=int, help="only ask this one")
    parser.add_argument("--count", type=int, default=COUNT, help="how often to ask")
    options = parser.parse_args()
    if options.port:
        measure(options.port, options.count)
        return
    pipeline = stagelight.Pipeline("probes")
    stage = pipeline.stage(lambda event: event, name="work")
    stage(1)
    print("| ms | in process p50 | p99 | max | watchdog p50 | p99 | max |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    with stagelight.serve("127.0.0.1:0", watchdog="127.0.0.1:0") as server:
        rows(server, options.count)


if __name__ == "__main__":
    main()
