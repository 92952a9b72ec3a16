from __future__ import annotations

import asyncio
import queue

from stagelight import Pipeline, testing


def test_a_thread_queue_read_by_a_task_is_that_task_s_alone():
    """An event that waits for room in an asyncio queue is not taken by another task."""
    pipeline = Pipeline("relay in a loop")

    @pipeline.stage
    def first(event):
        return event

    @pipeline.stage
    async def last(event):
        return event

    simple = pipeline.queue(queue.SimpleQueue(), "simple")

    async def main():
        tasks = pipeline.queue(asyncio.Queue(1), "tasks")

        async def work():
            while (event := await tasks.get()) is not None:
                await last(event)

        worker = asyncio.create_task(work())
        for _ in range(6):
            await tasks.put(simple.get_nowait())
        await tasks.put(None)
        await worker

    with testing.capture() as telemetry:
        for number in range(6):
            simple.put(first({"id": number}))
        asyncio.run(main())
        journeys: dict[str, list[tuple[str, str]]] = {}
        for span in telemetry.spans():
            if span["name"] != "ingest relay in a loop":
                identifier = span["attributes"]["stagelight.event.id"]
                journeys.setdefault(span["trace_id"], []).append(
                    (span["name"], identifier)
                )
    assert sorted(journeys.values()) == [
        [("process first", str(number)), ("process last", str(number))]
        for number in range(6)
    ]
