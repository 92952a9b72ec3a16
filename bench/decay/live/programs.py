"""The same pipeline twice: with threads, and with tasks.

They are what a user would write. That time is virtual they do not know; what goes wrong
with them is in the plan.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from bench.decay.live.tasks import run

import stagelight

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bench.decay.live.clock import Clock
    from bench.decay.live.plan import Plan, Step
    from bench.decay.live.threads import Threads

ATTEMPTS = 8
_FOREVER = 1e9
_PIPELINE = "live"


class PoisonError(Exception):
    """An event that can never succeed."""


class Gone(Exception):  # noqa: N818 - a dependency's
    """What a stage calls did not answer."""


class Work:
    """What both programs decide in the same way."""

    def __init__(self, plan: Plan, step: Step) -> None:
        self.plan = plan
        self.step = step
        self.hanging = 0
        self.returning = 0

    def takes(self) -> float:
        """Seconds of one attempt."""
        step = self.step
        usual = step.service * step.slower
        return min(usual * self.plan.rng.lognormvariate(0, step.tail), step.timeout)

    def hangs(self) -> bool:
        """Whether this call never ends."""
        if self.hanging < self.step.stuck:
            self.hanging += 1
            return True
        return False

    def flaky(self) -> bool:
        """Whether this attempt fails."""
        return self.plan.rng.random() < self.step.flaky

    def poison(self) -> bool:
        """Whether one more event becomes one that can never succeed."""
        if self.returning < self.step.poison:
            self.returning += 1
            return True
        return False


class ThreadStage:
    """A stage that waits for what it calls."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def process(self, event: dict[str, Any]) -> dict[str, Any]:
        """Handle one event."""
        work = self.work
        if work.hangs():
            time.sleep(_FOREVER)
        for attempt in range(ATTEMPTS):
            if attempt:
                stagelight.retry()
            time.sleep(work.takes())
            if event.get("poison") == work.step.name:
                raise PoisonError(event["id"])
            if not work.flaky():
                return event
        raise Gone


class TaskStage:
    """The same as a coroutine."""

    def __init__(self, work: Work) -> None:
        self.work = work

    async def process(self, event: dict[str, Any]) -> dict[str, Any]:
        """Handle one event."""
        work = self.work
        if work.hangs():
            await asyncio.sleep(_FOREVER)
        for attempt in range(ATTEMPTS):
            if attempt:
                stagelight.retry()
            await asyncio.sleep(work.takes())
            if event.get("poison") == work.step.name:
                raise PoisonError(event["id"])
            if not work.flaky():
                return event
        raise Gone


class _Program:
    """What both have: the queues, and the stages between them."""

    def __init__(self, plan: Plan, queues: list[Any], kind: type) -> None:
        self.plan = plan
        pipeline = stagelight.Pipeline(_PIPELINE)
        self.queues = [
            pipeline.queue(queue, f"for_{step.name}")
            for queue, step in zip(queues, plan.steps, strict=True)
        ]
        self.lanes = []
        for number, step in enumerate(plan.steps):
            work = Work(plan, step)
            stage = pipeline.stage(kind(work), name=step.name)
            following = [*self.queues[number + 1 :], None][0]
            self.lanes += [(stage, work, self.queues[number], following)] * step.workers


class _Threads(_Program):
    """Each worker is a thread."""

    def __init__(self, plan: Plan, threads: Threads) -> None:
        queues = [threads.queue(step.capacity) for step in plan.steps]
        super().__init__(plan, queues, ThreadStage)
        self.threads = threads

    def arrive(self) -> None:
        """Put events in; others send whether we are held up or not."""
        number, due = 0, 0.0
        while True:
            due += self.plan.rng.expovariate(max(self.plan.load(due), 1e-4))
            time.sleep(due - self.threads.clock.now())
            number += 1
            self.queues[0].put({"id": number})

    def come_back(self, source: Any, event: dict[str, Any], after: float) -> None:
        """Put an event in again."""
        time.sleep(after)
        source.put(event)

    def serve(self, stage: Any, work: Work, source: Any, target: Any) -> None:
        """One worker."""
        while True:
            event = source.get()
            if work.poison():
                event["poison"] = work.step.name
            try:
                event = stage.process(event)
            except PoisonError:
                self.threads.spawn(self.come_back, source, event, work.step.again)
            except Gone:
                continue
            else:
                if target is not None:
                    target.put(event)


def with_threads(
    plan: Plan, threads: Threads, tick: Callable[[list[Any]], bool]
) -> None:
    """Run until ``tick`` says that it is enough.

    Args:
        plan: What to do.
        threads: Whose turn it is.
        tick: Called each 15 seconds with the queues.
    """
    program = _Threads(plan, threads)
    for lane in program.lanes:
        threads.spawn(program.serve, *lane)
    threads.spawn(program.arrive)
    while not tick(program.queues):
        time.sleep(15.0)


class _Tasks(_Program):
    """Each worker is a task."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        queues = [asyncio.Queue[Any](step.capacity) for step in plan.steps]
        super().__init__(plan, queues, TaskStage)
        self.clock = clock
        self.running: set[asyncio.Future[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside."""
        task = asyncio.ensure_future(work)
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def arrive(self) -> None:
        """Put events in; others send whether we are held up or not."""
        number, due = 0, 0.0
        while True:
            due += self.plan.rng.expovariate(max(self.plan.load(due), 1e-4))
            await asyncio.sleep(due - self.clock.now())
            number += 1
            await self.queues[0].put({"id": number})

    async def come_back(self, source: Any, event: dict[str, Any], after: float) -> None:
        """Put an event in again."""
        await asyncio.sleep(after)
        await source.put(event)

    async def serve(self, stage: Any, work: Work, source: Any, target: Any) -> None:
        """One worker."""
        while True:
            event = await source.get()
            if work.poison():
                event["poison"] = work.step.name
            try:
                event = await stage.process(event)
            except PoisonError:
                self.begin(self.come_back(source, event, work.step.again))
            except Gone:
                continue
            else:
                if target is not None:
                    await target.put(event)


def with_tasks(plan: Plan, clock: Clock, tick: Callable[[list[Any]], bool]) -> None:
    """Run until ``tick`` says that it is enough.

    Args:
        plan: What to do.
        clock: The time.
        tick: Called each 15 seconds with the queues.
    """

    async def main() -> None:
        program = _Tasks(plan, clock)
        program.begin(program.arrive())
        for lane in program.lanes:
            program.begin(program.serve(*lane))
        while not tick(program.queues):  # noqa: ASYNC110 - time itself is waited for
            await asyncio.sleep(15.0)
        for one in list(program.running):
            one.cancel()
        await asyncio.gather(*program.running, return_exceptions=True)

    run(main(), clock)
