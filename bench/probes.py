"""How fast probes answer while the program gives them no time.

    python bench/probes.py [--seconds 30] [--only threads-4]

Each row asks by fresh connections, as an orchestrator does: from other processes, up to
twenty times a second, all the time that the program is in that state. The watchdog is
the process that `serve(watchdog=...)` adds. The bound is that of the p99.
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
from typing import TYPE_CHECKING

import stagelight

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = 0.05
#: Name of a state of the program -> what it is called, and the bound of its p99 in ms.
STATES = {
    "idle": ("idle", None),
    "blocked": ("event loop blocked, both cores busy", 10),
    "threads-1": ("1 thread computes", None),
    "threads-4": ("4 threads compute", 150),
    "threads-16": ("16 threads compute", 1000),
}


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


def measure(port: int, seconds: float) -> None:
    """Ask for some time, and print the quantiles in milliseconds."""
    took = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        time.sleep(EVERY)
        took.append(ask(port) * 1000)
    took.sort()
    place = (min(int(q * len(took)), len(took) - 1) for q in (0.5, 0.99, 1))
    print(*(f"{took[one]:.1f}" for one in place))


def asked(port: int, seconds: float) -> list[str]:
    """The quantiles as a process of its own measures them."""
    return subprocess.run(
        [sys.executable, __file__, "--port", str(port), "--seconds", str(seconds)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


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


@contextlib.contextmanager
def busy(state: str, seconds: float) -> Iterator[None]:
    """The program in some state, for that long and a little more."""
    with contextlib.ExitStack() as stack:
        if state == "blocked":
            for _ in range(2):
                process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                stack.callback(process.wait)
                stack.callback(process.kill)
            stack.callback(block(seconds + 3).join)
        elif state.startswith("threads"):
            until = threading.Event()
            number = int(state.partition("-")[2])
            threads = [
                threading.Thread(target=spin, args=(until,)) for _ in range(number)
            ]
            for thread in threads:
                thread.start()
                stack.callback(thread.join)
            stack.callback(until.set)
        yield


def row(server: stagelight.Server, state: str, seconds: float) -> None:
    """Ask both servers in turn in one state, and print a line."""
    words, bound = STATES[state]
    watchdog = int((server.watchdog_url or "").rstrip("/").rpartition(":")[2])
    found = []
    for port in (server.port, watchdog):
        with busy(state, seconds):
            found.append(asked(port, seconds))
    inside, beside = found
    limit = "" if bound is None else bound
    print(
        f"| {words} | {' | '.join(inside)} | {' | '.join(beside)} | {limit} |",
        flush=True,
    )


def main() -> None:
    """Measure all states, or some."""
    parser = argparse.ArgumentParser(description="How fast probes answer.")
    parser.add_argument("--port", type=int, help="only ask this one")
    parser.add_argument("--seconds", type=float, default=30, help="for each state")
    parser.add_argument(
        "--only",
        action="append",
        choices=[*STATES],
        metavar="STATE",
        default=None,
        help=f"measure only this: {', '.join(STATES)}; may be repeated",
    )
    options = parser.parse_args()
    if options.port:
        measure(options.port, options.seconds)
        return
    pipeline = stagelight.Pipeline("probes")
    stage = pipeline.stage(lambda event: event, name="work")
    stage(1)
    print("| ms | in process p50 | p99 | max | watchdog p50 | p99 | max | bound |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    with stagelight.serve("127.0.0.1:0", watchdog="127.0.0.1:0") as server:
        for state in options.only or STATES:
            row(server, state, options.seconds)


if __name__ == "__main__":
    main()
