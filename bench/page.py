"""What the page and its server cost: 50 stages, watched at 1 Hz and unwatched.

    python bench/page.py [--seconds 60]

Processor time is that of the server's own threads; memory is what serving adds to the
process.
"""

from __future__ import annotations

import argparse
import http.client
import queue
import resource
import threading
import time

import psutil

import stagelight
from stagelight._cpu import thread_time

STAGES = 50
#: Threads that serving starts.
OURS = ("stagelight-server", "stagelight-monitor")


def build() -> threading.Event:
    """A chain of stages, all of them at work about ten times a second."""
    pipeline = stagelight.Pipeline("bench")
    over = threading.Event()
    queues = [
        pipeline.queue(queue.Queue(50), f"queue-{number}") for number in range(STAGES)
    ]

    def work(number: int) -> None:
        stage = pipeline.stage(lambda event: event, name=f"stage-{number}")
        while not over.is_set():
            event = stage(queues[number].get())
            if number + 1 < STAGES:
                queues[number + 1].put(event)

    def feed() -> None:
        while not over.wait(0.1):
            queues[0].put(1)

    for number in range(STAGES):
        threading.Thread(target=work, args=(number,), daemon=True).start()
    threading.Thread(target=feed, daemon=True).start()
    return over


def spent() -> float:
    """Processor seconds of the server's threads."""
    return sum(
        (thread_time(thread.native_id or 0) or 0) / 1e9
        for thread in threading.enumerate()
        if thread.name.startswith(OURS)
    )


def measure(seconds: float) -> float:
    """Share of a processor over some time."""
    before, began = spent(), time.perf_counter()
    time.sleep(seconds)
    return (spent() - before) / (time.perf_counter() - began)


def watch(port: int, over: threading.Event, sent: list[int]) -> None:
    """Look at the page's events, as a browser does; notes each document's bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/events")
    response = connection.getresponse()
    while not over.is_set():
        line = response.readline()
        if line.startswith(b"data:"):
            sent.append(len(line))


def main() -> None:
    """Measure, and print what it costs, and how often the page really hears."""
    parser = argparse.ArgumentParser(description="What the page costs.")
    parser.add_argument("--seconds", type=float, default=60, help="for each state")
    options = parser.parse_args()
    build()
    time.sleep(8)  # until all stages have worked
    process = psutil.Process()
    before = process.memory_info().rss
    with stagelight.serve("127.0.0.1:0") as server:
        time.sleep(6)
        unwatched = measure(options.seconds)
        over = threading.Event()
        sent: list[int] = []
        watcher = threading.Thread(
            target=watch, args=(server.port, over, sent), daemon=True
        )
        watcher.start()
        # Until it has as many looks as a window holds: as they come the program's
        # collector goes through all objects once.
        time.sleep(12)
        before_it, began = len(sent), time.perf_counter()
        watched = measure(options.seconds)
        pace = (len(sent) - before_it) / (time.perf_counter() - began)
        after = process.memory_info().rss
        over.set()
    print(f"unwatched {unwatched:.2%} of a processor")
    print(f"watched   {watched:.2%} of a processor")
    print(f"          {pace:.2f} documents a second, {sent[-1] / 1000:.0f} kB each")
    print(f"memory    {(after - before) / 1e6:.1f} MB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"          {peak / 1024:.0f} MiB the whole process at most")


if __name__ == "__main__":
    main()
