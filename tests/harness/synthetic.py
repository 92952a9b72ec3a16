"""Synthetic pipelines whose bottleneck is known by construction."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, cycle, pairwise

import stagelight
from stagelight._registry import REGISTRY
from stagelight._sight import look

CAPACITY = 8


@dataclass
class Node:
    """One stage: seconds per event, workers, and where its results go.

    ``share`` is the part of all events that reach it.
    """

    name: str
    seconds: float
    workers: int
    kind: str = "threads"  # or "pool", "tasks"
    outputs: list[str] = field(default_factory=list)
    share: float = 1.0

    @property
    def most(self) -> float:
        """Events of the whole pipeline per second that it can keep up with."""
        return self.workers / self.seconds / self.share


@dataclass
class Shape:
    """One pipeline: its nodes in order, the first one fed by the source."""

    label: str
    nodes: list[Node]
    #: Whether a node sends each result to all of its outputs, or to each in turn.
    copies: bool = True

    @property
    def bottleneck(self) -> Node:
        """The node that can keep up with the least."""
        return min(self.nodes, key=lambda node: node.most)

    @property
    def rate(self) -> float:
        """Events per second that it takes by construction."""
        return self.bottleneck.most

    def with_one_more(self) -> Shape:
        """The same with one more worker at the bottleneck."""
        worst = self.bottleneck.name
        return Shape(
            self.label,
            [
                Node(
                    one.name,
                    one.seconds,
                    one.workers + (one.name == worst),
                    one.kind,
                    one.outputs,
                    one.share,
                )
                for one in self.nodes
            ],
            self.copies,
        )


def shapes(number: int = 48, seed: int = 8) -> list[Shape]:
    """Chains of 1 to 8 stages, fan-out by copy and by turn, fan-in; all kinds."""
    chance = random.Random(seed)
    found: list[Shape] = []
    index = -1
    while len(found) < number:
        index += 1
        form = ("chain", "copy", "split", "join")[index % 4]
        kind = ("threads", "tasks", "pool")[index % 3]
        shape = _draw(chance, form, kind, 1 + index % 8)
        by_capacity = sorted(node.most for node in shape.nodes)
        # "Known" needs a clear one: a quarter apart from the next.
        if len(by_capacity) == 1 or by_capacity[0] < 0.8 * by_capacity[1]:
            found.append(shape)
    return found


def _draw(chance: random.Random, form: str, kind: str, size: int) -> Shape:
    size = max(size, 1 if form == "chain" else 3 if form == "copy" else 4)
    size = min(size, 8)
    nodes = [
        Node(
            f"s{number}",
            chance.choice([0.008, 0.012, 0.02, 0.03, 0.045]),
            chance.choice([1, 1, 2, 2, 3, 4]),
            kind,
        )
        for number in range(size)
    ]
    if form == "chain":
        for one, after in pairwise(nodes):
            one.outputs = [after.name]
    elif form == "copy":
        nodes[0].outputs = [one.name for one in nodes[1:]]
    else:
        middle = nodes[1:-1]
        nodes[0].outputs = [one.name for one in middle]
        for one in middle:
            one.share = 1 / len(middle)
            one.outputs = [nodes[-1].name]
    label = f"{form} of {size}, {kind}"
    return Shape(label, nodes, copies=form == "copy")


class Pace:
    """Sleeps that together last exactly as long as they should.

    On a busy machine each one is too long by what it takes to get a processor; the next
    one is as much shorter. So a stage's mean is known there, too.

    Args:
        seconds: How long each should last.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._late = 0.0

    def begin(self) -> tuple[float, float]:
        """When it began, and how long to sleep."""
        return time.perf_counter(), max(self._seconds - self._late, 0)

    def end(self, began: float) -> None:
        """Note how much too long it was.

        Args:
            began: When it began.
        """
        self._late += time.perf_counter() - began - self._seconds
        self._late = min(self._late, 5 * self._seconds)


class Running:
    """A shape that runs, fed as fast as it takes events."""

    numbers = count(1)

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.pipeline = stagelight.Pipeline(f"synthetic-{next(self.numbers)}")
        self.over = False
        self.loop: asyncio.AbstractEventLoop | None = None
        kind = shape.nodes[0].kind
        self.threads: list[threading.Thread] = []
        self.pools: list[ThreadPoolExecutor] = []
        if kind == "tasks":
            self._start(self._run_loop)
        else:
            self._build()

    @property
    def record(self):
        """The pipeline's record."""
        return REGISTRY.pipeline(self.pipeline.name)

    def look(self):
        """The pipeline now."""
        return look(self.record)[0]

    def stop(self) -> None:
        """End all of its threads."""
        self.over = True
        for thread in self.threads:
            thread.join()
        for pool in self.pools:
            pool.shutdown()
        REGISTRY.pipelines.pop(self.pipeline.name, None)

    def _start(self, work, *args) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    # Threads and pools

    def _build(self) -> None:
        self.queues = {
            node.name: self.pipeline.queue(queue.Queue(CAPACITY), f"q-{node.name}")
            for node in self.shape.nodes
        }
        for node in self.shape.nodes:
            stage = self._stage(node)
            turns = cycle(node.outputs)
            if node.kind == "pool":
                pool = self.pipeline.pool(
                    ThreadPoolExecutor(node.workers), f"pool-{node.name}"
                )
                self.pools.append(pool)
                room = threading.BoundedSemaphore(node.workers + 2)
                self._start(self._dispatch, node, stage, turns, pool, room)
            else:
                for _ in range(node.workers):
                    self._start(self._work, node, stage, turns)
        self._start(self._feed)

    def _stage(self, node: Node):
        own = threading.local()

        def stage(event):
            if not hasattr(own, "pace"):
                own.pace = Pace(node.seconds)
            began, seconds = own.pace.begin()
            time.sleep(seconds)
            own.pace.end(began)
            return event

        return self.pipeline.stage(stage, name=node.name)

    def _feed(self) -> None:
        first = self.queues[self.shape.nodes[0].name]
        for number in count():
            if self.over or not self._put(first, (number,)):
                return

    def _put(self, target, event) -> bool:
        while not self.over:
            with contextlib.suppress(queue.Full):
                target.put(event, timeout=0.5)
                return True
        return False

    def _get(self, name: str):
        while not self.over:
            with contextlib.suppress(queue.Empty):
                return self.queues[name].get(timeout=0.5)
        return None

    def _hand_on(self, node: Node, turns, event) -> None:
        if not node.outputs:
            return
        targets = node.outputs if self.shape.copies else [next(turns)]
        for name in targets:
            self._put(self.queues[name], event)

    def _work(self, node: Node, stage, turns) -> None:
        while (event := self._get(node.name)) is not None:
            self._hand_on(node, turns, stage(event))

    def _dispatch(self, node: Node, stage, turns, pool, room) -> None:
        def task(event):
            try:
                self._hand_on(node, turns, stage(event))
            finally:
                room.release()

        while (event := self._get(node.name)) is not None:
            room.acquire()
            pool.submit(task, event)

    # Tasks

    def _run_loop(self) -> None:
        asyncio.run(self._tasks())

    async def _tasks(self) -> None:  # noqa: C901 - three small coroutines
        queues = {
            node.name: self.pipeline.queue(asyncio.Queue(CAPACITY), f"q-{node.name}")
            for node in self.shape.nodes
        }

        def make(node: Node):
            paces = [Pace(node.seconds) for _ in range(node.workers)]

            async def stage(event):
                pace = paces.pop()  # there are as many as calls at once
                began, seconds = pace.begin()
                await asyncio.sleep(seconds)
                pace.end(began)
                paces.append(pace)
                return event

            return self.pipeline.stage(stage, name=node.name)

        async def work(node: Node, stage, turns) -> None:
            while True:
                event = await stage(await queues[node.name].get())
                if node.outputs:
                    copies = self.shape.copies
                    for name in node.outputs if copies else [next(turns)]:
                        await queues[name].put(event)

        async def feed() -> None:
            for number in count():
                await queues[self.shape.nodes[0].name].put((number,))

        tasks = [asyncio.create_task(feed())]
        for node in self.shape.nodes:
            stage, turns = make(node), cycle(node.outputs)
            tasks += [
                asyncio.create_task(work(node, stage, turns))
                for _ in range(node.workers)
            ]
        while not self.over:  # noqa: ASYNC110 - told by another thread
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
