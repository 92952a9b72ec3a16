"""One run of a real pipeline, in a process of its own.

python -m bench.decay.live.run threads|tasks FAMILY SEED [HOURS]
"""

from __future__ import annotations

import gc
import json
import os
import sys
from dataclasses import asdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bench.decay.live.clock import EPOCH, Clock
from bench.decay.live.plan import CONTROLS, FAULTS, HOUR, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP = 15.0
_FULL_FOR = 300.0


class Watch:
    """Samples and evaluates, lets the plan go on, and sees the collapse.

    Args:
        plan: The plan.
        clock: The time.
        end: When it is enough.
    """

    def __init__(self, plan: Plan, clock: Clock, end: float) -> None:
        from bench.decay.baseline import collapse_rules
        from bench.decay.lab import Listener, Outcome

        from stagelight.alerts._defaults import default_rules
        from stagelight.alerts._engine import Engine
        from stagelight.alerts._evaluator import Evaluator

        self.plan, self.clock, self.end = plan, clock, end
        self.outcome = Outcome(plan.onset, None, {"R0": [], "ours": []}, plan.stage)
        self._full: dict[int, float] = {}
        self._engine = Engine(default_rules(), interval=STEP, log=None)
        self._usual = Listener(Evaluator(collapse_rules()))
        inner = self._engine.evaluator.add

        def add(*arguments: Any, **named: Any) -> None:
            inner(*arguments, **named)
            self._usual.evaluator.add(*arguments, **named)

        setattr(self._engine.evaluator, "add", add)  # noqa: B010 - both see the same

    def tick(self, queues: Sequence[Any]) -> bool:
        """Look once.

        Args:
            queues: The pipeline's, in order.

        Returns:
            Whether it is enough.
        """
        now = self.clock.now()
        for change in self.plan.changes:
            change(now)
        self._collect()
        self._tell(now)
        self._usual.tick(EPOCH + now)
        steps = self.plan.steps
        for number, one in enumerate(queues):
            full = self._full.get(number, 0.0) + STEP if one.full() else 0.0
            self._full[number] = full
        if (
            self.plan.memory(now) >= 0.99 * self.plan.limit
            or max(self._full.values()) >= _FULL_FOR
            or any(one.stuck >= one.workers for one in steps)
        ):
            self.outcome.collapse = now
        self._usual_alarms()
        return self.outcome.collapse is not None or now >= self.end

    def _collect(self) -> None:
        """The collector holds everybody up, and says so as the real one does."""
        pause = self.plan.pause
        for told in gc.callbacks:
            told("start", {})
        self.clock.held_up += STEP * pause / (1 - pause)
        for told in gc.callbacks:
            told("stop", {})

    def _tell(self, now: float) -> None:
        from bench.decay.lab import Alarm

        alarms = self.outcome.alarms["ours"]
        for one in self._engine.tick():
            if one.state == "firing":
                alarms.append(Alarm(one.name, one.severity, one.stage, one.cause, now))
            else:
                ended = (a for a in reversed(alarms) if a.name == one.name)
                next(a for a in ended if a.stage == one.stage).resolved = now

    def _usual_alarms(self) -> None:
        self.outcome.alarms["R0"] = [
            type(one)(**{**asdict(one), "time": one.time - EPOCH})
            for one in self._usual.alarms
        ]


def _virtual_memory(plan: Plan, clock: Clock) -> None:
    """The process's memory is what the plan says."""
    import psutil

    total = int(plan.limit)
    used = lambda _: SimpleNamespace(rss=int(plan.memory(clock.now())))  # noqa: E731
    psutil.Process.memory_info = used
    psutil.virtual_memory = lambda: SimpleNamespace(total=total, available=total)


def run(kind: str, family: str, seed: str, hours: float) -> dict[str, Any]:
    """Run it.

    Args:
        kind: ``threads`` or ``tasks``.
        family: A family of faults or controls.
        seed: Its seed.
        hours: How long it runs at the most.

    Returns:
        The outcome, as plain data.
    """
    clock = Clock()
    clock.install()
    fault = family in FAULTS
    plan = (FAULTS if fault else CONTROLS)[family](f"{seed} {kind}")
    _virtual_memory(plan, clock)
    from stagelight._pauses import PAUSES

    PAUSES.install()
    from bench.decay.live import programs
    from bench.decay.live.threads import Threads

    end = hours * HOUR
    if fault:
        end = min(end, plan.onset + 2.5 * plan.length)
    watch = Watch(plan, clock, end)
    if kind == "threads":
        threads = Threads(clock)
        threads.install()
        programs.with_threads(plan, threads, watch.tick)
    else:
        programs.with_tasks(plan, clock, watch.tick)
    return asdict(watch.outcome)


def main() -> None:
    """Run what the arguments say, and print its outcome."""
    kind, family, seed, *hours = sys.argv[1:]
    print(json.dumps(run(kind, family, seed, float(hours[0]) if hours else 24.0)))
    sys.stdout.flush()
    os._exit(0)  # its threads wait in a time that no longer passes


if __name__ == "__main__":
    main()
