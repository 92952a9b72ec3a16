"""Six ways to decay, one more, and eight ways to be healthy."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sin
from typing import TYPE_CHECKING

from bench.decay.model import HOUR, Stage, World, make

if TYPE_CHECKING:
    from collections.abc import Callable

#: Hours before anything goes wrong.
HEALTHY = 3.0


@dataclass
class Fault:
    """One run that decays.

    Attributes:
        world: Its pipeline.
        stage: The stage at fault, "" for the process.
        onset: When it begins, in seconds.
        length: What its parameters are stretched to.
    """

    world: World
    stage: str
    onset: float
    length: float


def _progress(fault: Fault, bend: float) -> Callable[[float], float]:
    def at(now: float) -> float:
        return (
            max(now - fault.onset, 0.0) / fault.length * 1.0
            if bend == 1
            else (max((now - fault.onset) / fault.length, 0.0) ** bend)
        )

    return at


def fault_of(
    seed: str, *, process: bool = False
) -> tuple[Fault, Callable[[float], float]]:
    """A healthy pipeline, and how far its decay has come at a time.

    Args:
        seed: Its seed.
        process: Whether the whole process is at fault, and not one of its stages.
    """
    world = make(seed)
    rng = world.rng
    fault = Fault(
        world,
        "" if process else rng.choice(world.stages).name,
        HEALTHY * HOUR + rng.uniform(0, HOUR),
        rng.uniform(2, 10) * HOUR,
    )
    return fault, _progress(fault, rng.choice([0.8, 1.0, 1.0, 1.5, 2.0]))


def at_stage(fault: Fault) -> Stage:
    """The stage at fault.

    Args:
        fault: The run.
    """
    return next(one for one in fault.world.stages if one.name == fault.stage)


def leak(seed: str) -> Fault:
    """Something is kept for ever; near the end the collector works hard."""
    fault, at = fault_of(seed, process=True)
    rng = fault.world.rng
    room = 1.0 - fault.world.base

    def event(world: World, now: float) -> None:
        world.leaked = room * at(now) * rng.uniform(0.99, 1.01)
        used = world.base + world.leaked
        if used > 0.85:
            world.gc = max(world.gc, 0.02 + (used - 0.85))

    fault.world.events.append(event)
    return fault


def slow_consumer(seed: str) -> Fault:
    """One stage takes longer and longer."""
    fault, at = fault_of(seed)
    stage = at_stage(fault)
    most = fault.world.rng.uniform(1.0, 3.0)

    def event(_: World, now: float) -> None:
        stage.slower = 1 + most * at(now)

    fault.world.events.append(event)
    return fault


def retry_storm(seed: str) -> Fault:
    """What a stage calls fails now and then, and ever more; retries add load."""
    fault, at = fault_of(seed)
    stage = at_stage(fault)
    first, most = stage.retry, fault.world.rng.uniform(0.5, 0.8)

    def event(_: World, now: float) -> None:
        stage.retry = min(first + most * at(now), 0.9)
        stage.fail = 0.0005 + stage.retry**3

    fault.world.events.append(event)
    return fault


def poison_event(seed: str) -> Fault:
    """Events that can never succeed come back, and become more."""
    fault, at = fault_of(seed)
    rng = fault.world.rng
    stage = at_stage(fault)
    most = rng.randint(10, 40)
    again, cost = rng.uniform(5, 30), rng.uniform(0.5, 2.0)
    heavy = stage.workers * 1.2 / (most / again * cost)

    def event(_: World, now: float) -> None:
        number = float(int(1 + most * at(now))) if at(now) > 0 else 0.0
        stage.failing = number / again
        stage.wasted = number / again * cost * heavy

    fault.world.events.append(event)
    return fault


def stuck_worker(seed: str) -> Fault:
    """One worker after the other hangs."""
    fault, at = fault_of(seed)
    stage = at_stage(fault)

    def event(_: World, now: float) -> None:
        number = min(int(at(now) * stage.workers + (at(now) > 0)), stage.workers)
        while len(stage.stuck) < number:
            stage.stuck.append(now)

    fault.world.events.append(event)
    return fault


def gc_drift(seed: str) -> Fault:
    """More and more objects live, and the collector takes the time."""
    fault, at = fault_of(seed, process=True)
    world = fault.world
    first, most = world.gc, world.rng.uniform(0.5, 0.8)
    growth = world.rng.uniform(0.1, 0.3)

    def event(world: World, now: float) -> None:
        world.gc = min(first + most * at(now), 0.9)
        world.leaked = min(growth * at(now), 0.95 - world.base)

    world.events.append(event)
    return fault


def hot_growth(seed: str) -> Fault:
    """Traffic outgrows a stage, week by week in the speed of hours."""
    fault, at = fault_of(seed)
    world = fault.world
    rate = world.load(0)
    busiest = max(world.stages, key=lambda one: one.service / one.workers)
    fault.stage = busiest.name
    world.load = lambda now: rate * (1 + 1.2 * at(now))
    return fault


FAULTS: dict[str, Callable[[str], Fault]] = {
    "leak": leak,
    "slow_consumer": slow_consumer,
    "retry_storm": retry_storm,
    "poison_event": poison_event,
    "stuck_worker": stuck_worker,
    "gc_drift": gc_drift,
}
#: Looked at while rules were chosen, and not one of the six that the bounds are for.
TUNED: dict[str, Callable[[str], Fault]] = {"hot_growth": hot_growth}


def diurnal(seed: str) -> World:
    """Load by the time of day; memory follows it."""
    world = make(seed, 0.75)
    peak, rng = world.load(0), world.rng
    shift, least = rng.uniform(0, 24) * HOUR, rng.uniform(0.1, 0.4)

    def wave(now: float) -> float:
        return (1 + sin(2 * pi * (now - shift) / (24 * HOUR))) / 2

    world.load = lambda now: peak * (least + (1 - least) * wave(now))
    swing = rng.uniform(0.05, 0.2)
    world.events.append(lambda w, now: setattr(w, "leaked", swing * wave(now)))
    return world


def cron_bursts(seed: str) -> World:
    """Each hour a few minutes of more than can be done at once."""
    world = make(seed, 0.5)
    rate, rng = world.load(0), world.rng
    length, times = rng.uniform(60, 240), rng.uniform(1.5, 3.0)
    room = min(one.capacity for one in world.stages)
    # No burst that fills a queue: that would be a fault.
    length = min(length, 0.7 * room / (rate * max(times - 1.6, 0.1)))
    world.load = lambda now: rate * (times if now % HOUR < length else 1.0)
    return world


def batches(seed: str) -> World:
    """Nothing, then a batch, which is worked off before the next comes."""
    world = make(seed, 0.6)
    rate, rng = world.load(0), world.rng
    period = rng.uniform(10, 30) * 60
    room = min(one.capacity for one in world.stages)
    length = min(period * 0.3, 0.8 * room / (rate * 0.9))
    world.load = lambda now: rate * 2.0 if now % period < length else rate * 0.1
    return world


def restarts(seed: str) -> World:
    """Every few hours a new version, with cold caches and memory to fill."""
    world = make(seed, 0.5)
    rng = world.rng
    every, warm = rng.uniform(3, 8) * HOUR, rng.uniform(5, 20) * 60
    cold = rng.uniform(0.5, 1.0)

    def event(world: World, now: float) -> None:
        since = now % every
        if since < 15.0:
            world.started = now
            world.paused = 0.0
            for one in world.stages:
                one.count = one.total = one.failures = one.retries = one.busy = 0.0
        left = max(1 - since / warm, 0.0)
        for one in world.stages:
            one.slower = 1 + cold * left
        world.leaked = -0.2 * left

    world.events.append(event)
    return world


def step_up(seed: str) -> World:
    """A quarter more load from one moment on, with room for it."""
    world = make(seed, 0.6)
    rate, at = world.load(0), world.rng.uniform(4, 20) * HOUR
    world.load = lambda now: rate * (1.25 if now > at else 1.0)
    return world


def gc_sawtooth(seed: str) -> World:
    """Memory swings wide between two collections."""
    world = make(seed)
    rng = world.rng
    world.base, world.saw = rng.uniform(0.3, 0.6), rng.uniform(0.2, 0.35)
    world.saw_period = rng.uniform(120, 600)
    world.gc = rng.uniform(0.01, 0.03)
    return world


def heavy_tails(seed: str) -> World:
    """Now and then a call takes a hundred times as long as others."""
    world = make(seed, 0.5)
    for one in world.stages:
        one.tail = world.rng.uniform(1.2, 2.0)
    return world


def idle(seed: str) -> World:
    """Hardly anything happens."""
    world = make(seed)
    rng = world.rng
    share = rng.uniform(0.0, 0.02)
    rate = world.load(0)
    world.load = lambda now: rate * share if now % 900 < 300 else 0.0
    return world


CONTROLS: dict[str, Callable[[str], World]] = {
    "diurnal": diurnal,
    "cron_bursts": cron_bursts,
    "batches": batches,
    "restarts": restarts,
    "step_up": step_up,
    "gc_sawtooth": gc_sawtooth,
    "heavy_tails": heavy_tails,
    "idle": idle,
}
