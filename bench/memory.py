"""Show that telemetry memory stays flat over many events.

A pipeline of two stages, a queue and a thread pool runs with every sort of event:
successes, failures, drops, short-lived threads. Resident memory is read after each
tenth of the events; after the first tenth it must not grow.

    python bench/memory.py [--events 10000000] [--limit 4]
"""

from __future__ import annotations

import argparse
import contextlib
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

import stagelight

PIPELINE = stagelight.Pipeline("memory")


@PIPELINE.stage
def parse(event: int) -> int:
    """Fail once in a thousand events, drop once in a thousand."""
    if event % 1000 == 0:
        raise ValueError(event)
    if event % 1000 == 1:
        stagelight.drop("filtered")
    return event


@PIPELINE.stage
def load(event: int) -> int:
    """Take what came through the queue."""
    return event


def one_tenth(events: int, waiting: queue.Queue[int], pool: ThreadPoolExecutor) -> None:
    """Send events through everything: most directly, some by queue, pool, thread."""
    for event in range(events):
        with contextlib.suppress(ValueError):
            parse(event)
        if event % 20 == 0:
            waiting.put(event)
            load(waiting.get())
        if event % 1000 == 0:
            pool.submit(load, event).result()
            thread = threading.Thread(target=load, args=(event,))
            thread.start()
            thread.join()


def main() -> None:
    """Run, print, and fail where memory grew."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--limit", type=float, default=4.0, help="MiB of growth")
    options = parser.parse_args()
    waiting = PIPELINE.queue(queue.Queue(100), "waiting")
    process = psutil.Process()
    sizes = []
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as executor:
        pool = PIPELINE.pool(executor, "pool")
        for _ in range(10):
            one_tenth(options.events // 10, waiting, pool)
            sizes.append(process.memory_info().rss / 2**20)
    count = PIPELINE.stats()["stages"]["parse"]["count"]
    took = time.perf_counter() - start
    print(f"{count:,} events in {took:.0f} s; MiB resident after each tenth:")
    print(" ".join(f"{size:.1f}" for size in sizes))
    growth = max(sizes[1:]) - sizes[0]
    print(f"growth after the first tenth: {growth:.1f} MiB (limit {options.limit})")
    sys.exit(growth > options.limit)


if __name__ == "__main__":
    main()
