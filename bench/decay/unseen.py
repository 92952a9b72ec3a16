"""Ways to decay, and to be healthy, that were written after the rules were chosen.

No threshold was changed for any of ``UNSEEN``: they say what the rules are worth on
what nobody thought of.
"""

from __future__ import annotations

from math import pi, sin
from typing import TYPE_CHECKING

from bench.decay.families import Fault, at_stage, fault_of
from bench.decay.model import HOUR, World, make

if TYPE_CHECKING:
    from collections.abc import Callable


def brown_out(seed: str) -> Fault:
    """A dependency is slow and failing for a while, more often and for longer."""
    fault, at = fault_of(seed)
    rng = fault.world.rng
    stage = at_stage(fault)
    period = rng.uniform(120, 600)

    def event(_: World, now: float) -> None:
        bad = (now % period) / period < min(at(now), 1.0)
        stage.slower = 1 + 3 * at(now) if bad else 1.0
        stage.retry = min(0.2 * (1 + at(now)), 0.8) if bad and at(now) > 0 else 0.005

    fault.world.events.append(event)
    return fault


def slow_disk(seed: str) -> Fault:
    """Writes stall now and then, for longer each hour; in between all is well."""
    fault, at = fault_of(seed)
    rng = fault.world.rng
    stage = at_stage(fault)
    until = [0.0]

    def event(_: World, now: float) -> None:
        if now > until[0] and rng.random() < 0.05 * min(at(now) * 4, 1.0):
            until[0] = now + rng.uniform(30, 90) * (1 + 4 * at(now))
        stalled = now < until[0]
        stage.slower = 1 + 0.5 * at(now) + (4.0 if stalled and at(now) > 0 else 0.0)

    fault.world.events.append(event)
    return fault


def lock_contention(seed: str) -> Fault:
    """Workers wait for one lock that is held ever longer: the more work, the worse."""
    fault, at = fault_of(seed)
    stage = at_stage(fault)

    def event(_: World, now: float) -> None:
        # Utilization of the lock by what it is asked: waiting explodes towards 1.
        used = min(0.2 + 0.75 * at(now), 0.97)
        stage.slower = 1 + 0.3 * (used / (1 - used) - 0.25)

    fault.world.events.append(event)
    return fault


def rate_limit(seed: str) -> Fault:
    """What a stage calls admits ever fewer calls; the rest wait inside the call."""
    fault, at = fault_of(seed)
    stage = at_stage(fault)
    rate = fault.world.load(0.0)

    def event(_: World, now: float) -> None:
        admitted = rate * (2.0 - 1.4 * min(at(now), 1.2))
        able = stage.workers / stage.service
        stage.slower = max(able / max(admitted, rate * 0.1), 1.0)

    fault.world.events.append(event)
    return fault


def pool_leak(seed: str) -> Fault:
    """Connections are not given back: calls wait for one, and then fewer run."""
    fault, at = fault_of(seed)
    stage = at_stage(fault)

    def event(_: World, now: float) -> None:
        free = max(stage.workers * (1 - at(now)), 0.2)
        stage.slower = stage.workers / free
        if free < 1:  # some give up waiting
            stage.fail = 0.0005 + 0.2 * (1 - free)

    fault.world.events.append(event)
    return fault


def crash_loop(seed: str) -> Fault:
    """The process dies and starts anew, each time sooner; it starts cold."""
    fault, at = fault_of(seed, process=True)
    world, rng = fault.world, fault.world.rng
    again = [fault.onset]

    def event(world: World, now: float) -> None:
        if now >= again[0] and at(now) > 0:
            world.started, world.paused = now, 0.0
            for one in world.stages:
                one.count = one.total = one.failures = one.retries = one.busy = 0.0
            left = max(1.0 - at(now), 0.02)
            again[0] = now + max(2400 * left * rng.uniform(0.7, 1.3), 60)
        since = now - world.started
        cold = 3.0 * max(1 - since / 300, 0.0) if at(now) > 0 else 0.0
        for one in world.stages:
            one.slower = 1 + cold

    world.events.append(event)
    return fault


def hot_key(seed: str) -> Fault:
    """One key takes ever more of the traffic, and its events go one by one."""
    fault, at = fault_of(seed)
    stage = at_stage(fault)
    used = fault.world.load(0.0) * stage.service / stage.workers

    def event(_: World, now: float) -> None:
        # The key's own worker is full at some share; then only it counts.
        share = min(0.05 + 1.5 * at(now) / stage.workers, 0.95)
        lane = used * stage.workers * share
        useful = 1.0 if lane < 1 else 1 / lane
        stage.wasted = stage.workers * (1 - useful) * 0.9

    fault.world.events.append(event)
    return fault


def silent_death(seed: str) -> Fault:
    """Workers end without a word, one after the other; nobody starts others."""
    fault, at = fault_of(seed)
    stage = at_stage(fault)
    first = stage.workers

    def event(_: World, now: float) -> None:
        stage.workers = max(first - int(first * at(now)), 0)

    fault.world.events.append(event)
    return fault


def growing_payloads(seed: str) -> Fault:
    """Events grow: every stage takes longer, one most of all, and memory follows."""
    fault, at = fault_of(seed)
    stage = at_stage(fault)
    other = fault.world.rng.uniform(0.1, 0.4)

    def event(world: World, now: float) -> None:
        for one in world.stages:
            one.slower = 1 + at(now) * (1.5 if one is stage else other)
        world.leaked = 0.1 * at(now)

    fault.world.events.append(event)
    return fault


def fan_out(seed: str) -> Fault:
    """Each event makes ever more of them before the stage that takes them."""
    fault, at = fault_of(seed)
    # What is asked of the stage grows, what it is asked by does not.
    stage = fault.world.stages[-1]
    fault.stage = stage.name

    def event(_: World, now: float) -> None:
        stage.multiply = 1 + 1.5 * at(now)

    fault.world.events.append(event)
    return fault


def cache_decay(seed: str) -> Fault:
    """Fewer and fewer calls find their answer in the cache, and do all the work."""
    fault, at = fault_of(seed)
    stage = at_stage(fault)
    stage.tail = 1.0  # hits are fast, misses are slow
    miss = fault.world.rng.uniform(4, 8)

    def event(_: World, now: float) -> None:
        share = min(0.8 * at(now), 1.0)
        stage.slower = 1 - share + share * miss

    fault.world.events.append(event)
    return fault


def noisy_neighbour(seed: str) -> Fault:
    """The machine is shared ever more: everything is slower, in waves."""
    fault, at = fault_of(seed)
    # Who is the nearest to its limit suffers first.
    world = fault.world
    fault.stage = max(world.stages, key=lambda one: one.service / one.workers).name
    period = world.rng.uniform(600, 2400)

    def event(world: World, now: float) -> None:
        wave = 0.7 + 0.3 * sin(2 * pi * now / period)
        for one in world.stages:
            one.slower = 1 + 1.5 * at(now) * wave

    world.events.append(event)
    return fault


def failing_tenants(seed: str) -> Fault:
    """One tenant after the other is refused; their events fail at once."""
    fault, at = fault_of(seed)
    stage = at_stage(fault)

    def event(world: World, now: float) -> None:
        stage.fail = min(0.0005 + 0.6 * at(now), 0.9)
        # What fails comes back from its sender, and is more.
        world.load = lambda _: rate * (1 + 0.8 * at(now))

    rate = fault.world.load(0.0)
    fault.world.events.append(event)
    return fault


#: They found gaps, which were closed: no longer unseen.
LOOKED_AT: dict[str, Callable[[str], Fault]] = {
    "crash_loop": crash_loop,
    "silent_death": silent_death,
}
UNSEEN: dict[str, Callable[[str], Fault]] = {
    "brown_out": brown_out,
    "slow_disk": slow_disk,
    "lock_contention": lock_contention,
    "rate_limit": rate_limit,
    "pool_leak": pool_leak,
    "hot_key": hot_key,
    "growing_payloads": growing_payloads,
    "fan_out": fan_out,
    "cache_decay": cache_decay,
    "noisy_neighbour": noisy_neighbour,
    "failing_tenants": failing_tenants,
}


def weekend(seed: str) -> World:
    """A day's wave with a lunch dip and a steep morning."""
    world = make(seed, 0.7)
    peak, rng = world.load(0), world.rng
    shift = rng.uniform(0, 24) * HOUR

    def curve(now: float) -> float:
        hour = ((now - shift) / HOUR) % 24
        day = max(min((hour - 7) / 1.5, (20 - hour) / 3, 1.0), 0.0)
        dip = 0.3 if 12 < hour < 13 else 0.0
        return 0.1 + 0.9 * max(day - dip, 0.0)

    world.load = lambda now: peak * curve(now)
    return world


def cache_warmth(seed: str) -> World:
    """A cache is cleared each few hours: calls are slower for some minutes."""
    world = make(seed, 0.5)
    rng = world.rng
    every, warm = rng.uniform(3, 6) * HOUR, rng.uniform(3, 10) * 60
    stage = rng.choice(world.stages)
    most = rng.uniform(0.3, 0.8)

    def event(_: World, now: float) -> None:
        stage.slower = 1 + most * max(1 - (now % every) / warm, 0.0)

    world.events.append(event)
    return world


def scaling(seed: str) -> World:
    """Workers come and go with the load."""
    world = make(seed, 0.6)
    rate, rng = world.load(0), world.rng
    period = rng.uniform(4, 8) * HOUR
    first = [one.workers for one in world.stages]

    def wave(now: float) -> float:
        return 1 + 0.6 * sin(2 * pi * now / period)

    world.load = lambda now: rate * wave(now)

    def event(world: World, now: float) -> None:
        if now % 300 < 15:
            for one, usual in zip(world.stages, first, strict=True):
                one.workers = max(round(usual * wave(now + 150) + 0.5), 1)

    world.events.append(event)
    return world


def short_outage(seed: str) -> World:
    """A dependency fails for two minutes, twice a day, and all is caught up."""
    world = make(seed, 0.5)
    rng = world.rng
    stage = rng.choice(world.stages)
    begins = [rng.uniform(1, 11) * HOUR, rng.uniform(13, 23) * HOUR]

    def event(_: World, now: float) -> None:
        bad = any(0 <= now - one < 120 for one in begins)
        stage.retry = 0.5 if bad else 0.005

    world.events.append(event)
    return world


UNSEEN_CONTROLS: dict[str, Callable[[str], World]] = {
    "weekend": weekend,
    "cache_warmth": cache_warmth,
    "scaling": scaling,
    "short_outage": short_outage,
}
