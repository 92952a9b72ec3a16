"""A pipeline at the level of its metrics: three stages with queues, step by step.

Events are fluid, noise is not: arrivals, service times and instantaneous queue sizes
vary from step to step. A stage hands on only what the next queue has room for.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEP = 15.0
HOUR = 3600.0
GIB = float(2**30)
#: Time, pipeline, stage, source, value.
Row = tuple[float, str, str, str, float]


@dataclass
class Stage:
    """One stage: what it can do, what goes wrong with it, what it has counted."""

    name: str
    workers: int
    service: float
    capacity: float
    tail: float = 0.25
    # What a fault changes.
    slower: float = 1.0
    retry: float = 0.005
    fail: float = 0.0005
    wasted: float = 0.0
    failing: float = 0.0
    multiply: float = 1.0
    stuck: list[float] = field(default_factory=list)
    # What it has counted.
    queue: float = 0.0
    count: float = 0.0
    total: float = 0.0
    failures: float = 0.0
    retries: float = 0.0
    busy: float = 0.0
    age: float = 0.0
    oldest: float = 0.0
    full: float = 0.0

    def able(self, pause: float) -> float:
        """Events that it can finish in a step.

        Args:
            pause: Share of the time that the process is held up.
        """
        hands = max(self.workers - len(self.stuck) - self.wasted, 0.0)
        time = self.service * self.slower / (1 - pause)
        return hands * STEP / time * (1 - min(self.retry, 0.95))


@dataclass
class World:
    """The whole: stages in a row, a process, a load, and what is scheduled.

    Attributes:
        rng: The only source of chance.
        stages: In the order of the flow.
        load: Events a second at a time.
        events: Called before each step with the world and the time.
    """

    rng: random.Random
    stages: list[Stage]
    load: Callable[[float], float]
    events: list[Callable[[World, float], None]] = field(default_factory=list)
    limit: float = 2 * GIB
    base: float = 0.4
    saw: float = 0.05
    saw_period: float = 600.0
    leaked: float = 0.0
    gc: float = 0.01
    started: float = 0.0
    paused: float = 0.0
    memory: float = 0.0
    waves: bool = True

    def step(self, now: float) -> None:
        """Let one step pass.

        Args:
            now: Its end.
        """
        for event in self.events:
            event(self, now)
        rng = self.rng
        rate = self.load(now)
        coming = max(rng.gauss(rate * STEP, (rate * STEP) ** 0.5 * 1.5), 0.0)
        pause = min(max(rng.gauss(self.gc, self.gc / 4), 0.0), 0.95)
        self.paused += pause * STEP
        for number, stage in enumerate(self.stages):
            after = self.stages[number + 1] if number + 1 < len(self.stages) else None
            coming = self._pass(stage, after, coming, pause, now)
        phase = ((now - self.started) % self.saw_period) / self.saw_period
        used = self.base + self.saw * phase + self.leaked + rng.gauss(0, 0.003)
        self.memory = min(max(used, 0.05), 1.0) * self.limit

    def _pass(
        self, stage: Stage, after: Stage | None, coming: float, pause: float, now: float
    ) -> float:
        rng = self.rng
        stage.queue += coming * stage.multiply
        time = stage.service * stage.slower / (1 - pause)
        attempts = 1 / (1 - min(stage.retry, 0.95))
        done = min(stage.queue, stage.able(pause))
        if after is not None:
            # What the next stage takes meanwhile makes room too.
            room = after.capacity - after.queue + after.able(pause)
            done = min(done, room / after.multiply)
        done = max(done, 0.0)
        room = stage.capacity
        stage.queue = min(stage.queue - done, room)
        calls = done * attempts
        samples = max(calls, 1e-9)
        # The mean of many draws of a lognormal: the more, the less it varies.
        spread = stage.tail / samples**0.5 * 2 if samples > 1 else stage.tail
        measured = time * max(rng.lognormvariate(0, min(spread, 1.5)), 0.05)
        stage.count += calls + stage.failing * STEP
        stage.total += calls * measured
        failing = done * stage.fail + stage.failing * STEP
        stage.failures += self._whole(failing)
        stage.retries += self._whole(calls - done + stage.failing * STEP * 0.8)
        worked = min(calls * time + (stage.wasted + len(stage.stuck)) * STEP, 1e12)
        stage.busy += min(worked, stage.workers * STEP)
        longest = time * (1 + stage.tail * log(1 + calls) * rng.uniform(0.5, 1.5))
        if stage.tail > 1:  # heavy tails: now and then one that takes very long
            longest *= rng.lognormvariate(0, stage.tail / 2)
        stage.age = max((now - at for at in stage.stuck), default=0.0)
        stage.age = max(stage.age, min(longest, 90.0) if calls > 0 else 0.0)
        drain = done / STEP
        waited = stage.queue / drain if drain > 1e-6 else stage.oldest + STEP
        stage.oldest = waited if stage.queue > 0.5 else 0.0
        stage.full = stage.full + STEP if stage.queue > 0.98 * room else 0.0
        return done

    def _whole(self, expected: float) -> float:
        """A count around what is expected."""
        if expected <= 0:
            return 0.0
        if expected > 30:
            return max(round(self.rng.gauss(expected, expected**0.5)), 0)
        whole, left = divmod(expected, 1)
        return whole + (self.rng.random() < left)

    def rows(self, now: float) -> Iterator[Row]:
        """The samples of this moment.

        Args:
            now: Time in seconds.
        """
        noise = self.rng
        for one in self.stages:
            # In an instant some events are always about to be fetched.
            flicker = noise.expovariate(1 / 3) if noise.random() < 0.5 else 0.0
            size = float(int(min(one.queue + flicker, one.capacity)))
            for source, value in (
                ("queue.size", size),
                ("queue.capacity", one.capacity),
                ("queue.oldest.age", one.oldest if one.queue > 0.5 else 0.0),
                ("stage.process.duration.count", float(int(one.count))),
                ("stage.process.duration.sum", one.total),
                ("stage.failures", one.failures),
                ("stage.retries", one.retries),
                ("worker.time.busy", one.busy),
                ("worker.limit", float(one.workers)),
                ("stage.inflight.age", one.age),
            ):
                yield now, "lab", one.name, source, value
        for source, value in (
            ("process.memory.usage", self.memory),
            ("process.memory.limit", self.limit),
            ("process.uptime", now - self.started),
            ("process.gc.pause.time", self.paused),
        ):
            yield now, "", "", source, value


def make(seed: str, use: float | None = None) -> World:
    """A healthy pipeline, as its seed wants it.

    Args:
        seed: Whatever it is called.
        use: The busiest stage's share of busy time; by default 0.45 to 0.7.
    """
    rng = random.Random(seed)
    rate = rng.choice([5, 20, 60, 150]) * rng.uniform(0.7, 1.4)
    target = use or rng.uniform(0.45, 0.7)
    stages = []
    for name in ("parse", "enrich", "load"):
        workers = rng.randint(3, 12)
        share = target * rng.uniform(0.75, 1.0)
        service = share * workers / rate
        capacity = float(rng.choice([200, 500, 1000, 5000]))
        tail = rng.uniform(0.2, 0.6)
        stages.append(
            Stage(name, workers, service, capacity, tail, retry=rng.uniform(0.0, 0.01))
        )
    world = World(rng, stages, lambda _: rate)
    world.base = rng.uniform(0.3, 0.5)
    world.saw = rng.uniform(0.03, 0.1)
    world.saw_period = rng.uniform(60, 600)
    world.gc = rng.uniform(0.003, 0.02)
    return world
