from __future__ import annotations

import asyncio
import queue

import pytest


async def _take(items):
    return [item async for item in items]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_stages_inside_a_generator_nest_at_every_item(pipeline, spans, asynchronous):
    """A generator's span is current at each of its steps, not only at the first."""
    inner = pipeline.stage(lambda event: event, name="inner")

    def plain(event):
        for number in range(3):
            yield inner((event, number))

    async def agen(event):
        for number in range(3):
            yield inner((event, number))
            await asyncio.sleep(0)

    split = pipeline.stage(agen if asynchronous else plain, name="split")
    jobs = pipeline.queue(queue.Queue(), "jobs")
    jobs.put("a")
    items = split(jobs.get())
    assert (asyncio.run(_take(items)) if asynchronous else list(items)) == [
        ("a", number) for number in range(3)
    ]
    assert spans.tree() == [
        ("ingest unit", None),
        *[("process inner", "process split")] * 3,
        ("process split", "ingest unit"),
    ]
