"""Stages of one asyncio task: what belongs together, and what only overlaps."""

from __future__ import annotations

import asyncio

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from stagelight import _workers
from stagelight._slots import NEVER
from stagelight._tracer import TRACER


def test_stages_of_a_task_are_one_journey(pipeline):
    """Each goes on with what the last one returned, in a trace of its own per event."""
    TRACER.configure(TracerProvider(shutdown_on_exit=False), 1.0)
    TRACER.due = TRACER.budget.due = NEVER
    traces = []

    async def first(event):
        traces.append(trace.get_current_span().get_span_context().trace_id)
        if event:
            await asyncio.sleep(0)
        return [event]

    async def second(event):
        traces.append(trace.get_current_span().get_span_context().trace_id)

    first, second = pipeline.stage(first, name="a"), pipeline.stage(second, name="b")

    async def main():
        for number in range(2):
            await second(await first(number))

    asyncio.run(main())
    assert traces[0] == traces[1] != traces[2] == traces[3]


def test_what_runs_while_an_asynchronous_generator_waits(pipeline, clock):
    """It is not inside of it, and the wait is no work; the end leaves nothing open."""

    async def items(count):
        for number in range(count):
            await asyncio.sleep(0)
            yield number

    items = pipeline.stage(items, name="items")
    other = pipeline.stage(lambda event: clock.advance(1), name="other")

    async def consume():
        return [item async for item in items(3)]

    async def meanwhile():
        for number in range(5):
            other(number)
            await asyncio.sleep(0)

    async def main():
        return await asyncio.gather(consume(), meanwhile())

    assert asyncio.run(main())[0] == [0, 1, 2]
    stages = pipeline.stats()["stages"]
    assert stages["items"]["inner"] == []
    assert stages["items"]["worker_seconds"]["busy"] == 0
    assert stages["other"]["worker_seconds"]["busy"] == 5
    assert not _workers.this_worker().slot.since
