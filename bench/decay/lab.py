"""Runs faults and controls through both sets of rules, and counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.decay.baseline import collapse_rules
from bench.decay.model import HOUR, STEP, World

from stagelight.alerts._defaults import default_rules
from stagelight.alerts._evaluator import Evaluator, Standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.decay.families import Fault

    from stagelight.alerts._evaluator import Changes

DAY = 24 * HOUR
#: What each family may rightly be called.
CAUSES = {
    "leak": {"memory leak", "garbage collector"},
    "slow_consumer": {"slow stage", "saturated", "backlog"},
    "retry_storm": {"retries", "failures"},
    "poison_event": {"poison event", "failures", "retries"},
    "stuck_worker": {"stuck worker", "stalled"},
    "gc_drift": {"garbage collector"},
    "hot_growth": {"saturated", "backlog"},
    "brown_out": {"slow stage", "retries", "failures"},
    "slow_disk": {"slow stage", "saturated", "backlog"},
    "lock_contention": {"slow stage", "saturated"},
    "rate_limit": {"slow stage", "saturated"},
    "pool_leak": {"slow stage", "saturated", "failures"},
    "crash_loop": {"crash loop", "slow stage", "backlog"},
    "cache_decay": {"slow stage", "saturated"},
    "noisy_neighbour": {"slow stage", "saturated"},
    "failing_tenants": {"failures", "poison event", "saturated"},
    "hot_key": {"saturated", "backlog"},
    "silent_death": {"saturated", "backlog", "stalled"},
    "growing_payloads": {"slow stage", "saturated"},
    "fan_out": {"saturated", "backlog"},
}


@dataclass
class Alarm:
    """One alert that fired."""

    name: str
    severity: str
    stage: str
    cause: str
    time: float
    resolved: float | None = None


@dataclass
class Outcome:
    """What became of one run; times in seconds."""

    onset: float
    collapse: float | None
    alarms: dict[str, list[Alarm]] = field(default_factory=dict)
    stage: str = ""

    def lead(self, which: str) -> float | None:
        """Time from the first alarm to the collapse, None where there was none."""
        first = self.first(which)
        if first is None or self.collapse is None or first.time >= self.collapse:
            return None
        return self.collapse - first.time

    def first(self, which: str) -> Alarm | None:
        """The first alarm after the onset."""
        return next((one for one in self.alarms[which] if one.time >= self.onset), None)

    def share(self, which: str) -> float:
        """Which part of the decay was left at the first alarm."""
        lead = self.lead(which)
        if lead is None or self.collapse is None:
            return 0.0
        return lead / (self.collapse - self.onset)


class Listener:
    """One set of rules, and what it has told so far."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self.alarms: list[Alarm] = []
        self._open: dict[int, Alarm] = {}

    def tick(self, now: float) -> None:
        """Evaluate, and note what it brought."""
        changes: Changes = self.evaluator.tick(now)
        for one in sorted(changes.fired, key=self._rank):
            alarm = Alarm(
                one.rule.name, one.rule.severity, one.name, one.rule.cause, now
            )
            self.alarms.append(alarm)
            self._open[id(one)] = alarm
        for one in changes.resolved:
            self._open.pop(id(one)).resolved = now

    def _rank(self, one: Standing) -> int:
        return self.evaluator.rules.index(one.rule)


def run_fault(make: Callable[[str], Fault], seed: str) -> Outcome:
    """Let one pipeline decay until it collapses.

    Args:
        make: Its family.
        seed: Its seed.
    """
    fault = make(seed)
    sets = {"R0": Listener(Evaluator(collapse_rules()))}
    sets["ours"] = Listener(Evaluator(default_rules()))
    outcome = Outcome(fault.onset, None, stage=fault.stage)
    now, end = 0.0, fault.onset + 2.5 * fault.length
    while now < end:
        now += STEP
        _advance(fault.world, sets, now)
        if is_collapsed(fault.world):
            outcome.collapse = now
            break
    outcome.alarms = {name: one.alarms for name, one in sets.items()}
    return outcome


def run_control(make: Callable[[str], World], seed: str, days: float) -> Outcome:
    """Let one healthy pipeline run.

    Args:
        make: Its family.
        seed: Its seed.
        days: How long.
    """
    world = make(seed)
    sets = {"R0": Listener(Evaluator(collapse_rules()))}
    sets["ours"] = Listener(Evaluator(default_rules()))
    now = 0.0
    while now < days * DAY:
        now += STEP
        _advance(world, sets, now)
    return Outcome(0.0, None, {name: one.alarms for name, one in sets.items()})


def _advance(world: World, sets: dict[str, Listener], now: float) -> None:
    world.step(now)
    rows = list(world.rows(now))
    for one in sets.values():
        add = one.evaluator.add
        for at, pipeline, stage, source, value in rows:
            add(at, source, value, pipeline=pipeline, name=stage)
        one.tick(now)


def is_collapsed(world: World) -> bool:
    """Whether it is over: memory, a queue, or all workers of a stage are used up.

    Args:
        world: The pipeline.
    """
    return world.memory >= 0.99 * world.limit or any(
        one.full >= 300 or len(one.stuck) >= one.workers for one in world.stages
    )
