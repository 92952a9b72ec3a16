"""Compare what stagelight reckons its own cost to be with what can be measured.

Each case runs bare and observed in turns, many short loops each, in a process of its
own; the difference of the best loops' CPU times is what observing cost. Beside it
stands what stagelight itself said it was.

    python bench/selfcost.py [--rounds N] [--only "coroutine*"]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fnmatch
import json
import queue
import statistics
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[int], None]


def work(microseconds: float) -> Callable[[Any], Any]:
    """A stage that computes for about so long."""
    turns = int(microseconds * 25)

    def stage(event: Any) -> Any:
        total = 0
        for number in range(turns):
            total += number
        return event

    return stage


def calls(observe: Callable[..., Any], microseconds: float) -> Run:
    """A chain of two stages in one thread."""
    first, second = observe(work(microseconds), "a"), observe(work(microseconds), "b")

    def run(events: int) -> None:
        for number in range(events):
            second(first(number))

    return run


def nested(observe: Callable[..., Any], microseconds: float) -> Run:
    """A stage inside another one."""
    inner = observe(work(microseconds), "inner")

    def around(event: Any) -> Any:
        return inner(event)

    outer = observe(around, "outer")

    def run(events: int) -> None:
        for number in range(events):
            outer(number)

    return run


def failing(observe: Callable[..., Any], microseconds: float) -> Run:
    """Every hundredth event fails."""
    inner = work(microseconds)

    def sometimes(event: Any) -> Any:
        inner(event)
        if not event % 100:
            raise ValueError(event)

    stage = observe(sometimes, "sometimes")

    def run(events: int) -> None:
        for number in range(events):
            with contextlib.suppress(ValueError):
                stage(number)

    return run


def coroutines(observe: Callable[..., Any], microseconds: float) -> Run:
    """Coroutines that never wait."""
    inner = work(microseconds)

    async def step(event: Any) -> Any:
        return inner(event)

    stage = observe(step, "step")
    loop = asyncio.new_event_loop()

    async def main(events: int) -> None:
        for number in range(events):
            await stage(number)

    return lambda events: loop.run_until_complete(main(events))


def generator(observe: Callable[..., Any], microseconds: float) -> Run:
    """One generator that makes all items."""
    inner = work(microseconds)

    def items(number: int) -> Any:
        for one in range(number):
            yield inner(one)

    stage = observe(items, "items")

    def run(events: int) -> None:
        for _ in stage(events):
            pass

    return run


def through_queue(observe: Callable[..., Any], microseconds: float) -> Run:
    """One stage hands on to another over a queue, in two threads in turn."""
    jobs: Any = queue.Queue(1_000_000)
    if hasattr(observe, "queue"):
        jobs = observe.queue(jobs, "jobs")
    inner = work(microseconds)

    def send(event: Any) -> None:
        inner(event)
        jobs.put(event)

    sender, receiver = observe(send, "send"), observe(work(microseconds), "receive")

    def fetch(events: int) -> None:
        for _ in range(events):
            receiver(jobs.get())

    def run(events: int) -> None:
        for number in range(events):
            sender(number)
        # Neither waits for the other: that would not be the observer's.
        thread = threading.Thread(target=fetch, args=(events,))
        thread.start()
        thread.join()

    return run


CASES: dict[str, tuple[Callable[..., Run], float]] = {
    "function, 0 us": (calls, 0),
    "function, 5 us": (calls, 5),
    "function, 200 us": (calls, 200),
    "nested, 5 us": (nested, 5),
    "1 % fail, 5 us": (failing, 5),
    "coroutine, 5 us": (coroutines, 5),
    "generator, 5 us": (generator, 5),
    "queue, 5 us": (through_queue, 5),
}
MODES = ("metrics only", "basic", "normal", "detailed")
#: Seconds of CPU that one loop takes about: short, so that some meet a quiet moment.
_LONG = 0.03


def run(mode: str, name: str, loops: int) -> None:
    """Run one case here, and print what an event costs, as seen and as reckoned."""
    make, microseconds = CASES[name]
    bare = make(lambda function, _: function, microseconds)
    observed = make(_observer(mode), microseconds)
    events = 100
    while (took := _timed(bare, events)) < _LONG:
        events = int(events * min(max(_LONG / max(took, 1e-6), 1.2), 10))
    for _ in range(3):
        observed(events)  # what is new, and the first samples of what a call costs
    before = _reckoned()
    pairs = [(_timed(bare, events), _timed(observed, events)) for _ in range(loops)]
    reckoned = (_reckoned() - before) / loops
    plainly, both = (min(side) for side in zip(*pairs, strict=True))
    print(json.dumps([value / events for value in (plainly, both, reckoned)]))


def _timed(case: Run, events: int) -> float:
    start = time.process_time()
    case(events)
    return time.process_time() - start


def _observer(mode: str) -> Any:
    from opentelemetry.sdk.trace import TracerProvider

    import stagelight
    from stagelight import _setup
    from stagelight._detail import DETAIL

    # Nothing but recording would be a load beyond any budget: it must not step down.
    DETAIL.budget = 0.0
    if mode != "metrics only":
        _setup.adopt(tracer_provider=TracerProvider())
        stagelight.detail(mode)  # type: ignore[arg-type]
    pipeline = stagelight.Pipeline("selfcost")

    class Observe:
        """Observes functions and queues."""

        def __call__(self, function: Any, name: str) -> Any:
            return pipeline.stage(function, name=name)

        def queue(self, target: Any, name: str) -> Any:
            return pipeline.queue(target, name)

    return Observe()


def _reckoned() -> float:
    from stagelight._cost import telemetry_cost

    return telemetry_cost().recording


def measure(mode: str, name: str, loops: int) -> tuple[float, float, float]:
    """One case in a process of its own."""
    command = [sys.executable, __file__, "--loops", f"{loops}", "--one", mode, name]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    bare, both, reckoned = json.loads(answer.stdout.splitlines()[-1])
    return bare, both, reckoned


def main() -> None:
    """Measure all in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loops", type=int, default=25)
    parser.add_argument("--only", default="*", metavar="GLOB", help="of the cases")
    parser.add_argument("--one", nargs=2, metavar=("MODE", "CASE"))
    arguments = parser.parse_args()
    if arguments.one:
        run(*arguments.one, arguments.loops)
        return
    print("| case | mode | us measured | us reckoned | reckoned / measured |")
    print("|---|---|---:|---:|---:|")
    for name in fnmatch.filter(CASES, arguments.only):
        for mode in MODES:
            found = [
                measure(mode, name, arguments.loops) for _ in range(arguments.rounds)
            ]
            cost = statistics.median(max(both - bare, 1e-9) for bare, both, _ in found)
            reckoned = statistics.median(one for *_, one in found)
            print(
                f"| {name} | {mode} | {cost * 1e6:.2f} | {reckoned * 1e6:.2f} "
                f"| {reckoned / cost:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
