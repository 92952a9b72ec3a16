"""A pipeline that decays: watch its alert fire while there is still time.

    stagelight run examples/decay.py          # what it calls becomes slower
    stagelight run examples/decay.py stuck    # one of its workers hangs
    stagelight run examples/decay.py poison   # one event comes back again and again
    stagelight run examples/decay.py retries  # what it calls fails more and more

Half a minute is healthy, then the decay begins. The rules are the default ones, 120
times as fast: an hour of theirs passes in half a minute. Nothing else here knows of
stagelight.
"""

from __future__ import annotations

import queue
import random
import sys
import threading
import time

from stagelight import alerts, retry

HEALTHY = 35.0
LENGTH = 90.0
BEGUN = time.monotonic()


def decayed() -> float:
    """Seconds since the decay began, 0 before."""
    return max(time.monotonic() - BEGUN - HEALTHY, 0.0)


class Parse:
    """Takes what comes in apart."""

    def process(self, event: int) -> int:
        """Take 2 ms."""
        time.sleep(0.002)
        return event


class Enrich:
    """Asks a service for more: the stage that decays."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.hanging = threading.Lock()
        self.chance = random.Random(1)  # noqa: S311 - no secret

    def process(self, event: int) -> int:
        """Take 20 ms, and whatever the fault adds to them."""
        time.sleep(0.02)
        if self.fault == "slow":
            time.sleep(0.0008 * decayed())
        elif (
            self.fault == "stuck" and decayed() and self.hanging.acquire(blocking=False)
        ):
            self.wait_for_an_answer()
        elif self.fault == "poison" and decayed() and event % 15 == 0:
            raise ValueError("an event that nobody can read")
        elif self.fault == "retries" and self.chance.random() < decayed() / 100:
            retry()
            time.sleep(0.02)
        return event

    def wait_for_an_answer(self) -> None:
        """Hang on a connection without a timeout."""
        time.sleep(LENGTH)


def feed(jobs: queue.Queue[int]) -> None:
    """Put 60 events a second."""
    number = 0
    while time.monotonic() - BEGUN < LENGTH:
        number += 1
        time.sleep(1 / 60)
        jobs.put(number)


def main(fault: str = "slow") -> None:
    """Run for a minute and a half."""
    alerts.start({"scale": 1 / 120})
    raw: queue.Queue[int] = queue.Queue(400)
    parsed: queue.Queue[int] = queue.Queue(400)
    parser, enricher = Parse(), Enrich(fault)

    def parse() -> None:
        while True:
            parsed.put(parser.process(raw.get()))

    def enrich() -> None:
        while True:
            event = parsed.get()
            try:
                enricher.process(event)
            except ValueError:
                time.sleep(0.01)

    for worker in (parse, enrich, enrich):
        threading.Thread(target=worker, daemon=True).start()
    feed(raw)


if __name__ == "__main__":
    main(*sys.argv[1:])
