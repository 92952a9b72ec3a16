from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import stagelight
from stagelight import _workers


class Event:
    """An event with an identity of its own."""


def _ended(pipeline):
    """Outcome to number of journeys that ended."""
    totals = pipeline._record.journeys.totals()
    counts = {"success": totals.count} if totals.count else {}
    for (outcome, _), part in totals.failures.items():
        counts[outcome] = counts.get(outcome, 0) + part.count
    return counts


def _in_thread(target):
    thread = threading.Thread(target=target)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def fail(event):
    """Fail."""
    raise ValueError(event)


@pytest.fixture(params=["plain", "traced"], autouse=True)
def _tracing(request):
    """Run with and without a tracer: durations are metrics, and need none."""
    if request.param == "traced":
        request.getfixturevalue("spans")


@pytest.fixture
def q(pipeline):
    """An observed queue with one event."""
    q = pipeline.queue(queue.Queue(), "q")
    q.put(Event())
    return q


def test_a_sink_ends_a_journey(pipeline, q):
    """The last stage of an event ends its journey, once, as its worker goes on."""
    sink = pipeline.stage(lambda event: None, name="sink")

    def consume():
        sink(q.get())
        assert _ended(pipeline) == {}
        with pytest.raises(queue.Empty):
            q.get(timeout=0.01)
        assert _ended(pipeline) == {"success": 1}

    _in_thread(consume)
    assert _ended(pipeline) == {"success": 1}


def test_several_stages_end_it_once(pipeline, q):
    """Stages that follow each other in one worker are one journey."""
    stages = [pipeline.stage(lambda event: Event(), name=name) for name in "abc"]

    def consume():
        event = q.get()
        for stage in stages:
            event = stage(event)

    _in_thread(consume)
    assert _ended(pipeline) == {"success": 1}


def test_handing_on_ends_nothing(pipeline, q):
    """An event that is handed on is still on its way, inside a stage or after it."""
    further = pipeline.queue(queue.Queue(), "further")
    stage = pipeline.stage(lambda event: event, name="stage")
    inside = pipeline.stage(further.put, name="inside")
    q.put(Event())

    def consume():
        further.put(stage(q.get()))
        inside(q.get())

    _in_thread(consume)
    assert _ended(pipeline) == {}

    def finish():
        for _ in range(2):
            stage(further.get())

    _in_thread(finish)
    assert _ended(pipeline) == {"success": 2}


def test_a_failure_ends_a_journey(pipeline, q):
    """An event whose stage fails has left, with that outcome."""
    stage = pipeline.stage(fail, name="stage")

    def consume():
        with pytest.raises(ValueError, match="Event"):
            stage(q.get())

    _in_thread(consume)
    assert _ended(pipeline) == {"failure": 1}


def test_a_dead_letter_is_on_its_way(pipeline, q):
    """A failed event that is put into a dead letter queue has not left."""
    dead = pipeline.queue(queue.Queue(), "dead")
    stage = pipeline.stage(fail, name="stage")
    bury = pipeline.stage(lambda event: None, name="bury")

    def consume():
        event = q.get()
        try:
            stage(event)
        except ValueError:
            dead.put(event)

    _in_thread(consume)
    assert _ended(pipeline) == {}
    _in_thread(lambda: bury(dead.get()))
    assert _ended(pipeline) == {"success": 1}


def test_a_retry_that_succeeds(pipeline, q):
    """What counts is how the last call of the event ended."""
    attempts = []

    def flaky(event):
        attempts.append(event)
        if len(attempts) < 3:
            raise ValueError(event)

    stage = pipeline.stage(flaky, name="stage")

    def consume():
        event = q.get()
        for _ in range(2):
            with pytest.raises(ValueError, match="Event"):
                stage(event)
        stage(event)

    _in_thread(consume)
    assert _ended(pipeline) == {"success": 1}


def test_a_dropped_event_has_left(pipeline, q):
    """An event that is discarded on purpose ends its journey as dropped."""
    stage = pipeline.stage(lambda event: stagelight.drop(), name="stage")
    _in_thread(lambda: stage(q.get()))
    assert _ended(pipeline) == {"dropped": 1}


def test_a_stage_that_fetches_for_itself(pipeline, q):
    """A stage that takes a connection from a queue still ends its own event."""
    connections = pipeline.queue(queue.Queue(), "connections")
    connections.put(Event())

    def work(event):
        connection = connections.get()
        try:
            return event
        finally:
            connections.put(connection)

    stage = pipeline.stage(work, name="stage")
    q.put(Event())

    def consume():
        for _ in range(2):
            stage(q.get())

    _in_thread(consume)
    assert _ended(pipeline) == {"success": 2}
    assert connections.qsize() == 1


def test_batches(pipeline, q):
    """Each event of a batch ends its journey."""
    stage = pipeline.stage(len, name="stage")
    for _ in range(9):
        q.put(Event())
    _in_thread(lambda: stage([q.get() for _ in range(10)]))
    assert _ended(pipeline) == {"success": 10}


def test_pool_tasks(pipeline):
    """A task is the end of its event unless it hands it on."""
    further = pipeline.queue(queue.Queue(), "further")
    with pipeline.pool(ThreadPoolExecutor(2), "pool") as pool:
        pool.submit(abs, 1).result(10)
        pool.submit(fail, 1).exception(10)
        pool.submit(further.put, 1).result(10)
    assert _ended(pipeline) == {"success": 1, "failure": 1}


def test_worker_loops_are_no_events(pipeline, q):
    """A loop in a pool ends the journeys of its events, not one of its own."""
    stage = pipeline.stage(lambda event: None, name="stage")
    q.put(Event())
    q.put(None)

    def loop():
        while (event := q.get()) is not None:
            stage(event)

    with pipeline.pool(ThreadPoolExecutor(1), "pool") as pool:
        pool.submit(loop).result(10)
    assert _ended(pipeline)["success"] in {2, 3}


def test_tasks(pipeline):
    """A consumer task ends its events, also the last one as it is cancelled."""

    async def work(event):
        await asyncio.sleep(0)
        return event

    stage = pipeline.stage(work, name="stage")

    async def main():
        q = pipeline.queue(asyncio.Queue(), "q")

        async def consume():
            while True:
                await stage(await q.get())

        async def consume_one():
            await stage(await q.get())

        tasks = [asyncio.create_task(consume()) for _ in range(3)]
        for _ in range(20):
            await q.put(Event())
        while pipeline.stats()["stages"]["stage"]["count"] < 20:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await q.put(Event())
        await asyncio.create_task(consume_one())

    asyncio.run(main())
    assert _ended(pipeline) == {"success": 21}


def test_an_explicit_journey_that_fails(pipeline):
    """journey() ends with the outcome of its last stage."""
    stage = pipeline.stage(fail, name="stage")
    with pytest.raises(ValueError, match="x"):
        with pipeline.journey("x"):
            stage("x")
    assert _ended(pipeline) == {"failure": 1}


def test_ended_threads_leave_no_worker(pipeline):
    """A thread that fetched an event and called a stage is folded when it ends."""
    items = pipeline.queue(queue.Queue(), "items")

    @pipeline.stage
    def work(event):
        return event

    def consume():
        work(items.get())

    before = len(_workers.WORKERS)
    for number in range(20):
        items.put([number])
        thread = threading.Thread(target=consume)
        thread.start()
        thread.join()
    assert len(_workers.WORKERS) == before
    assert pipeline.stats()["journeys"]["count"] == 20
