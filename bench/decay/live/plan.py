"""What a real pipeline is asked to do, and what goes wrong with it.

Its parameters have nothing of the simulator's but the meaning: a few events a second,
each its own, with the noise of small numbers.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from math import pi, sin
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0
HEALTHY = 2.5 * HOUR
GIB = 2**30
STAGES = ("parse", "enrich", "load")


@dataclass
class Step:
    """One stage.

    Attributes:
        name: Its name.
        workers: How many threads or tasks.
        service: Seconds that a call usually takes.
        capacity: Of the queue before it.
        tail: How much calls differ: the sigma of a lognormal.
        slower: How many times as long as usual.
        flaky: Share of attempts that fail and are repeated.
        stuck: How many workers are to hang.
        poison: How many events come back again and again.
        again: Seconds after which they do.
        timeout: Seconds that an attempt takes at the most.
    """

    name: str
    workers: int
    service: float
    capacity: int
    tail: float
    slower: float = 1.0
    flaky: float = 0.003
    stuck: int = 0
    poison: int = 0
    again: float = 20.0
    timeout: float = 1e9


@dataclass
class Plan:
    """One run.

    Attributes:
        rng: The only source of chance.
        steps: Its stages.
        load: Events a second at a time.
        changes: Called each 15 seconds with the time.
        held: Bytes that something keeps.
        base: Bytes that are in use without.
        saw: Bytes of garbage until the collector comes.
        pause: Share of the time that the collector takes.
        stage: The stage at fault, "" for the process.
        onset: When it begins.
        length: What the decay is stretched to.
    """

    rng: random.Random
    steps: list[Step]
    load: Callable[[float], float]
    changes: list[Callable[[float], None]] = field(default_factory=list)
    limit: float = 2.0 * GIB
    held: float = 0.0
    base: float = 0.4 * 2 * GIB
    saw: float = 0.1 * 2 * GIB
    pause: float = 0.005
    stage: str = ""
    onset: float = HEALTHY
    length: float = 4 * HOUR

    def memory(self, now: float) -> float:
        """Bytes in use.

        Args:
            now: Time in seconds.
        """
        saw = self.saw * (now % 300.0) / 300.0
        return min(self.base + self.held + saw, self.limit)

    def at(self, now: float) -> float:
        """How far the decay has come: 0 before it begins, 1 at its length.

        Args:
            now: Time in seconds.
        """
        return max(now - self.onset, 0.0) / self.length

    def step(self) -> Step:
        """The stage at fault."""
        return next(one for one in self.steps if one.name == self.stage)


def healthy(seed: str, use: float | None = None) -> Plan:
    """A pipeline that can do what it is asked.

    Args:
        seed: Whatever it is called.
        use: The busiest stage's share of busy time; by default 0.4 to 0.7.
    """
    rng = random.Random(f"live {seed}")
    rate = rng.uniform(0.5, 1.5)
    target = use or rng.uniform(0.4, 0.7)
    steps = []
    for name in STAGES:
        workers = rng.randint(2, 6)
        service = target * rng.uniform(0.7, 1.0) * workers / rate
        tail = rng.uniform(0.2, 0.7)
        steps.append(Step(name, workers, service, rng.choice([50, 100, 300]), tail))
    return Plan(rng, steps, lambda _: rate)


def _decay(seed: str, *, process: bool = False) -> Plan:
    plan = healthy(seed)
    plan.stage = "" if process else plan.rng.choice(STAGES)
    plan.onset += plan.rng.uniform(0, 0.5) * HOUR
    plan.length = plan.rng.uniform(2, 6) * HOUR
    return plan


def leak(seed: str) -> Plan:
    """Something is kept of each event."""
    plan = _decay(seed, process=True)

    def change(now: float) -> None:
        plan.held = (plan.limit - plan.base) * plan.at(now)

    plan.changes.append(change)
    return plan


def slow_consumer(seed: str) -> Plan:
    """Calls of one stage take ever longer."""
    plan = _decay(seed)
    most = plan.rng.uniform(1.0, 3.0)
    plan.changes.append(
        lambda now: setattr(plan.step(), "slower", 1 + most * plan.at(now))
    )
    return plan


def retry_storm(seed: str) -> Plan:
    """Attempts of one stage fail ever more often, and are repeated."""
    plan = _decay(seed)
    most = plan.rng.uniform(0.5, 0.8)
    plan.changes.append(
        lambda now: setattr(
            plan.step(), "flaky", min(0.003 + most * plan.at(now), 0.95)
        )
    )
    return plan


def poison_event(seed: str) -> Plan:
    """Events that can never succeed come back, and become more."""
    plan = _decay(seed)
    step = plan.step()
    step.again = plan.rng.uniform(5, 25)
    # So many that workers have nothing else to do at the end, and the queue is full.
    most = 2 * step.workers * step.again / step.service + step.capacity

    def change(now: float) -> None:
        step.poison = int(1 + most * plan.at(now)) if plan.at(now) > 0 else 0

    plan.changes.append(change)
    return plan


def stuck_worker(seed: str) -> Plan:
    """One worker after the other hangs."""
    plan = _decay(seed)
    step = plan.step()

    def change(now: float) -> None:
        at = plan.at(now)
        step.stuck = min(int(at * step.workers) + (at > 0), step.workers)

    plan.changes.append(change)
    return plan


def gc_drift(seed: str) -> Plan:
    """The collector takes ever more of the time."""
    plan = _decay(seed, process=True)
    most = plan.rng.uniform(0.5, 0.8)

    def change(now: float) -> None:
        plan.pause = min(0.005 + most * plan.at(now), 0.9)
        plan.held = 0.15 * plan.limit * min(plan.at(now), 1.0)

    plan.changes.append(change)
    return plan


FAULTS: dict[str, Callable[[str], Plan]] = {
    "leak": leak,
    "slow_consumer": slow_consumer,
    "retry_storm": retry_storm,
    "poison_event": poison_event,
    "stuck_worker": stuck_worker,
    "gc_drift": gc_drift,
}


def _loaded(
    seed: str, use: float, shape: Callable[[random.Random], Callable[[float], float]]
) -> Plan:
    plan = healthy(seed, use)
    rate, curve = plan.load(0.0), shape(plan.rng)
    plan.load = lambda now: rate * curve(now)
    return plan


def diurnal(seed: str) -> Plan:
    """Load by the time of day."""

    def shape(rng: random.Random) -> Callable[[float], float]:
        shift, least = rng.uniform(0, 24), rng.uniform(0.1, 0.4)
        wave = lambda now: (1 + sin(2 * pi * (now / HOUR - shift) / 24)) / 2  # noqa: E731
        return lambda now: least + (1 - least) * wave(now)

    return _loaded(seed, 0.7, shape)


def cron_bursts(seed: str) -> Plan:
    """Each hour two minutes of three times the load."""
    return _loaded(seed, 0.4, lambda _: lambda now: 3.0 if now % HOUR < 120 else 1.0)


def batches(seed: str) -> Plan:
    """Batches, each worked off before the next."""
    return _loaded(seed, 0.5, lambda _: lambda now: 2.0 if now % 900 < 240 else 0.1)


def step_up(seed: str) -> Plan:
    """A quarter more load from one moment on, with room for it."""

    def shape(rng: random.Random) -> Callable[[float], float]:
        at = rng.uniform(4, 8) * HOUR
        return lambda now: 1.25 if now > at else 1.0

    return _loaded(seed, 0.55, shape)


def gc_sawtooth(seed: str) -> Plan:
    """Much garbage between two collections."""
    plan = healthy(seed)
    plan.saw = plan.rng.uniform(0.2, 0.35) * plan.limit
    plan.pause = 0.02
    return plan


def heavy_tails(seed: str) -> Plan:
    """Now and then a call takes many times as long as others, two minutes at most."""
    plan = healthy(seed, 0.35)
    for one in plan.steps:
        one.tail, one.timeout = plan.rng.uniform(1.0, 1.3), 120.0
    return plan


def idle(seed: str) -> Plan:
    """Hardly anything happens."""
    return _loaded(seed, 0.5, lambda _: lambda _: 0.01)


CONTROLS: dict[str, Callable[[str], Plan]] = {
    "diurnal": diurnal,
    "cron_bursts": cron_bursts,
    "batches": batches,
    "step_up": step_up,
    "gc_sawtooth": gc_sawtooth,
    "heavy_tails": heavy_tails,
    "idle": idle,
}
