"""Compare what stagelight reckons its own cost to be with what can be measured.

Each case runs bare and observed in turns, in processes of their own; the difference of
their CPU times is what observing cost, less a start that does nothing. Beside it stands
what the observed process itself said it was.

    python bench/selfcost.py [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
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


def work(microseconds: float) -> Callable[[Any], Any]:
    """A stage that computes for about so long."""
    turns = int(microseconds * 25)

    def stage(event: Any) -> Any:
        total = 0
        for number in range(turns):
            total += number
        return event

    return stage


def calls(observe: Callable[..., Any], microseconds: float, events: int) -> None:
    """A chain of two stages in one thread."""
    first, second = observe(work(microseconds), "a"), observe(work(microseconds), "b")
    for number in range(events):
        second(first(number))


def nested(observe: Callable[..., Any], microseconds: float, events: int) -> None:
    """A stage inside another one."""
    inner = observe(work(microseconds), "inner")

    def around(event: Any) -> Any:
        return inner(event)

    outer = observe(around, "outer")
    for number in range(events):
        outer(number)


def failing(observe: Callable[..., Any], microseconds: float, events: int) -> None:
    """Every hundredth event fails."""
    inner = work(microseconds)

    def sometimes(event: Any) -> Any:
        inner(event)
        if not event % 100:
            raise ValueError(event)

    stage = observe(sometimes, "sometimes")
    for number in range(events):
        with contextlib.suppress(ValueError):
            stage(number)


def coroutines(observe: Callable[..., Any], microseconds: float, events: int) -> None:
    """Coroutines that never wait."""
    inner = work(microseconds)

    async def step(event: Any) -> Any:
        return inner(event)

    stage = observe(step, "step")

    async def main() -> None:
        for number in range(events):
            await stage(number)

    asyncio.run(main())


def generator(observe: Callable[..., Any], microseconds: float, events: int) -> None:
    """One generator that makes all items."""
    inner = work(microseconds)

    def items(number: int) -> Any:
        for one in range(number):
            yield inner(one)

    for _ in observe(items, "items")(events):
        pass


def through_queue(
    observe: Callable[..., Any], microseconds: float, events: int
) -> None:
    """One stage hands on to another over a queue, in two threads."""
    jobs: Any = queue.Queue(200)
    if hasattr(observe, "queue"):
        jobs = observe.queue(jobs, "jobs")
    inner = work(microseconds)

    def send(event: Any) -> None:
        inner(event)
        jobs.put(event)

    sender, receiver = observe(send, "send"), observe(work(microseconds), "receive")

    def fetch() -> None:
        while (event := jobs.get()) is not None:
            receiver(event)

    thread = threading.Thread(target=fetch)
    thread.start()
    for number in range(events):
        sender(number)
    jobs.put(None)
    thread.join()


CASES: dict[str, tuple[Callable[..., None], float, int]] = {
    "function, 0 us": (calls, 0, 400_000),
    "function, 20 us": (calls, 20, 40_000),
    "function, 200 us": (calls, 200, 5_000),
    "nested, 20 us": (nested, 20, 40_000),
    "1 % fail, 20 us": (failing, 20, 40_000),
    "coroutine, 20 us": (coroutines, 20, 40_000),
    "generator, 20 us": (generator, 20, 80_000),
    "queue, 20 us": (through_queue, 20, 40_000),
}
MODES = ("metrics only", "basic", "normal", "detailed")


def run(mode: str, name: str) -> None:
    """Run one case in this process, and print its CPU time and what was reckoned."""
    case, microseconds, events = CASES[name]

    def bare(function: Any, _: str) -> Any:
        return function

    observe: Any = bare
    if mode != "bare":
        observe = _observer(mode)
    case(observe, microseconds, min(events, 2000))  # warm
    before = _reckoned(mode)
    start = time.process_time()
    case(observe, microseconds, events)
    took = time.process_time() - start
    print(json.dumps([took, _reckoned(mode) - before]))


def _observer(mode: str) -> Any:
    from opentelemetry.sdk.trace import TracerProvider

    import stagelight
    from stagelight import _setup

    if mode != "metrics only":
        _setup.adopt(tracer_provider=TracerProvider())
        stagelight.detail(mode)  # type: ignore[arg-type]
    pipeline = stagelight.Pipeline("selfcost")
    known: dict[str, Any] = {}

    class Observe:
        """Observes each name once: the warm-up's stages are other ones."""

        def __call__(self, function: Any, name: str) -> Any:
            known[name] = known.get(name, 0) + 1
            return pipeline.stage(function, name=f"{name}{known[name]}")

        def queue(self, target: Any, name: str) -> Any:
            known[name] = known.get(name, 0) + 1
            return pipeline.queue(target, f"{name}{known[name]}")

    return Observe()


def _reckoned(mode: str) -> float:
    if mode == "bare":
        return 0.0
    from stagelight._cost import telemetry_cost

    return telemetry_cost().recording


def measure(mode: str, name: str) -> tuple[float, float]:
    """One case in a process of its own."""
    command = [sys.executable, __file__, "--one", mode, name]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    took, reckoned = json.loads(answer.stdout.splitlines()[-1])
    return took, reckoned


def main() -> None:
    """Measure all in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=2, metavar=("MODE", "CASE"))
    arguments = parser.parse_args()
    if arguments.one:
        run(*arguments.one)
        return
    print("| case | mode | share measured | share reckoned | reckoned / measured |")
    print("|---|---|---:|---:|---:|")
    for name in CASES:
        times: dict[str, list[tuple[float, float]]] = {}
        for _ in range(arguments.rounds):
            for mode in ("bare", *MODES):
                times.setdefault(mode, []).append(measure(mode, name))
        bare = min(took for took, _ in times.pop("bare"))
        for mode, found in times.items():
            took = min(took for took, _ in found)
            reckoned = statistics.median(one for _, one in found)
            cost = max(took - bare, 1e-9)
            print(
                f"| {name} | {mode} | {cost / took:.1%} | {reckoned / took:.1%} "
                f"| {reckoned / cost:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
