"""What the alert engine costs: ``python -m bench.alerts [--stages 50] [--json]``.

A pipeline of stages and queues whose numbers change all the time, looked at by every
default rule. Three days are looked at first, the later the more often, so that windows
of every length are as full as they get; then an hour of ticks at 5 seconds is measured:
processor time of the engine's thread, and the memory it holds.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import statistics
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import stagelight
from stagelight import alerts
from stagelight.alerts import default_rules
from stagelight.alerts._engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(alerts.__file__).parent
INTERVAL = 5.0
HOUR = 3600.0
#: Seconds between two ticks, and how many: three days, of which six hours each minute.
BEFORE = ((900.0, 66 * 4), (60.0, 5 * 60), (15.0, 60 * 4))
BOUND_SHARE, BOUND_BYTES = 0.005, 5e6


class Work:
    """A pipeline that does something between two ticks.

    Args:
        stages: How many stages, each with a queue before it.
    """

    def __init__(self, stages: int) -> None:
        self._chance = random.Random(7)
        pipeline = stagelight.Pipeline(f"alerts-{stages}")
        self._parts: list[tuple[queue.Queue[int], Callable[[int], int]]] = []
        for number in range(stages):
            jobs = pipeline.queue(queue.Queue(1000), f"queue-{number}")

            def step(event: int) -> int:
                if event == 0:
                    raise ValueError("one in twenty fails")
                if event == 1:
                    stagelight.retry()
                return event

            self._parts.append((jobs, pipeline.stage(step, name=f"stage-{number}")))

    def go_on(self) -> None:
        """Change the size of every queue, and call every stage."""
        for jobs, stage in self._parts:
            for _ in range(self._chance.randint(0, 4)):
                jobs.put_nowait(self._chance.randint(0, 19))
            for _ in range(min(jobs.qsize(), self._chance.randint(1, 4))):
                with suppress(ValueError):
                    stage(jobs.get_nowait())


def run(work: Work, ticks: int) -> tuple[Engine, list[float]]:
    """An engine with three days behind it, and what each further tick takes.

    Args:
        work: What it looks at.
        ticks: How many.
    """
    now = [1e9]
    engine = Engine(default_rules(), log=None, clock=lambda: now[0])
    for step, count in BEFORE:
        for _ in range(count):
            now[0] += step
            work.go_on()
            engine.tick()
    took = []
    for _ in range(ticks):
        now[0] += INTERVAL
        work.go_on()
        begun = time.thread_time()
        engine.tick()
        took.append(time.thread_time() - begun)
    return engine, took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, default=50)
    parser.add_argument("--ticks", type=int, default=int(HOUR / INTERVAL))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    work = Work(given.stages)
    _, took = run(work, given.ticks)
    tracemalloc.start()
    engine, _ = run(work, given.ticks // 4)
    snapshot = tracemalloc.take_snapshot()
    tracemalloc.stop()
    # Not what the pipeline itself holds, whose queues are of changing length.
    own = snapshot.filter_traces(
        [tracemalloc.Filter(inclusive=True, filename_pattern=f"{HERE}/*")]
    )
    held = sum(one.size for one in own.statistics("filename"))
    rules = {rule.name for rule in engine.evaluator.rules}
    found = {
        "stages": given.stages,
        "rules": len(rules),
        "firing": len(engine.firing()),
        "tick_ms_median": statistics.median(took) * 1e3,
        "tick_ms_p99": sorted(took)[int(len(took) * 0.99)] * 1e3,
        "share_of_a_core": statistics.fmean(took) / INTERVAL,
        "held_bytes": held,
    }
    if given.json:
        print(json.dumps(found, indent=2))
        return
    print(
        f"{found['stages']} stages and queues, {found['rules']} rules, every "
        f"{INTERVAL:.0f} s; {found['firing']} alerts fire at the end\n"
        f"tick       median {found['tick_ms_median']:.2f} ms, "
        f"p99 {found['tick_ms_p99']:.2f} ms of processor time\n"
        f"processor  {found['share_of_a_core']:.3%} of a core "
        f"(bound {BOUND_SHARE:.1%})\n"
        f"memory     {held / 1e6:.2f} MB held (bound {BOUND_BYTES / 1e6:.0f} MB)"
    )


if __name__ == "__main__":
    main()
