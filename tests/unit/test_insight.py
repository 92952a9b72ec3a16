from __future__ import annotations

import asyncio
import importlib
import queue
import threading
import time

import pytest

from stagelight import _cost, _cpu, _names
from stagelight._insight import Window
from stagelight._insight._audit import audit
from stagelight._insight._gain import predict
from stagelight._registry import REGISTRY
from stagelight._sight import look


def insight(pipeline):
    """The insight of a pipeline's statistics."""
    return pipeline.stats()["insight"]


def window(pipeline, earlier=None):
    """What happened since an earlier look, or since the beginning."""
    return Window(look(REGISTRY.pipelines[pipeline.name])[0], earlier, REGISTRY.started)


def sight(pipeline):
    """A look."""
    return look(REGISTRY.pipelines[pipeline.name])[0]


def test_headroom_and_time_to_full(pipeline, clock) -> None:
    """Capacity, headroom and time to full follow from counts and times exactly."""
    jobs = pipeline.queue(queue.Queue(100), "jobs")

    @pipeline.stage
    def work(event):
        clock.advance(0.05)

    jobs.put(0)
    work(jobs.get())
    before = sight(pipeline)
    for _ in range(10):
        for _ in range(3):
            jobs.put("x")
        work(jobs.get())
        work(jobs.get())
    found = window(pipeline, before)
    stage, jobs_now = found.stages["work"], found.queues["jobs"].insight(None)
    assert found.seconds == 1.0
    assert (stage.rate, stage.busy, stage.capacity) == (20.0, 1.0, 20.0)
    assert (jobs_now.arrivals, jobs_now.departures, jobs_now.fill) == (30.0, 20.0, 0.1)
    assert jobs_now.seconds_to_full == 9.0
    assert round(stage.headroom, 6) == -0.5
    assert jobs_now.seconds_to_drain is None


def test_a_queue_that_drains_says_when(pipeline, clock) -> None:
    """Where more comes out than goes in there is a time to empty, and none to full."""
    jobs = pipeline.queue(queue.Queue(100), "jobs")
    for _ in range(50):
        jobs.put("x")
    before = sight(pipeline)
    for _ in range(10):
        jobs.get()
    clock.advance(1)
    found = window(pipeline, before).queues["jobs"].insight(None)
    assert (found.seconds_to_full, found.seconds_to_drain) == (None, 4.0)


def test_events_that_leave_a_queue_unseen_are_found(pipeline) -> None:
    """What went in, and neither came out nor is there, is a finding."""
    jobs = pipeline.queue(queue.Queue(), "jobs")
    for _ in range(50):
        jobs.put("x")
    assert insight(pipeline)["audit"] == []
    jobs.queue.clear()
    (finding,) = insight(pipeline)["audit"]
    assert (finding["check"], finding["place"]) == ("queue", "jobs")
    assert (finding["expected"], finding["found"]) == (50.0, 0.0)


def test_fetched_events_that_no_stage_takes_are_found(pipeline) -> None:
    """A quarter of the fetched events is handled elsewhere: that is a finding."""
    jobs = pipeline.queue(queue.Queue(), "jobs")
    work = pipeline.stage(lambda event: event, name="work")
    for number in range(400):
        jobs.put(number)
        event = jobs.get()
        if number % 4:
            work(event)
    (finding,) = insight(pipeline)["audit"]
    assert (finding["check"], finding["expected"], finding["found"]) == (
        "stage",
        400.0,
        300.0,
    )


def test_littles_law_finds_unseen_waits(pipeline, clock) -> None:
    """A mean size that flow and waits do not explain is a finding."""
    jobs = pipeline.queue(queue.Queue(), "jobs")
    for _ in range(20):
        jobs.put("x")
    before = sight(pipeline)
    for _ in range(200):
        clock.advance(0.01)
        jobs.put("x")
        jobs.get()
    found = window(pipeline, before)
    assert round(found.queues["jobs"].little) == 19
    assert audit(found, {"jobs": 20.0}) == []
    (finding,) = audit(found, {"jobs": 90.0})
    assert (finding.check, finding.place) == ("little", "jobs")


def test_the_longest_call_has_a_stack(pipeline, clock) -> None:
    """A thread's call of a second or more shows where it is, ours left out."""
    inside, go = threading.Event(), threading.Event()

    def waits_here():
        inside.set()
        go.wait(5)

    @pipeline.stage
    def work(event):
        waits_here()

    thread = threading.Thread(target=work, args=(1,), name="crew-1")
    thread.start()
    assert inside.wait(5)
    assert insight(pipeline)["stages"]["work"]["longest"] is None
    clock.advance(3)
    longest = insight(pipeline)["stages"]["work"]["longest"]
    go.set()
    thread.join()
    assert (longest["seconds"], longest["worker"]) == (3.0, "crew-1")
    functions = [line.split()[-1] for line in longest["stack"]]
    assert functions[:2] == ["work", "waits_here"]
    assert not any("<stagelight>" in line for line in longest["stack"])


def test_the_longest_coroutine_has_a_stack(pipeline, clock) -> None:
    """A suspended coroutine shows what it waits for, though no thread runs it."""

    async def waits_there(event):
        await event.wait()

    @pipeline.stage
    async def fetch(event):
        await waits_there(event)

    async def main():
        event = asyncio.Event()
        task = asyncio.create_task(fetch(event))
        await asyncio.sleep(0)
        clock.advance(2)
        found = insight(pipeline)["stages"]["fetch"]["longest"]
        event.set()
        await task
        return found

    longest = asyncio.run(main())
    assert (longest["seconds"], longest["worker"]) == (2.0, "task")
    functions = [line.split()[-1] for line in longest["stack"]]
    assert functions[:2] == ["fetch", "waits_there"]


def test_waiting_is_told_from_computing(pipeline, monkeypatch) -> None:
    """A stage that sleeps is hardly on a processor, one that computes mostly is."""
    # A fifth of a second is too little to tell of in the life of a long test run.
    monkeypatch.setattr(REGISTRY, "started", time.perf_counter_ns())

    @pipeline.stage
    def sleeps(event):
        time.sleep(0.05)

    @pipeline.stage
    def computes(event):
        until = time.thread_time() + 0.1
        while time.thread_time() < until:
            pass

    seen = threading.Event()

    def crew(stage):
        while not seen.is_set():
            stage(1)

    threads = [threading.Thread(target=crew, args=(one,)) for one in (sleeps, computes)]
    for thread in threads:
        thread.start()
    time.sleep(0.18)
    deadline = time.monotonic() + 20
    while True:  # on a busy machine the one that computes has to wait for a processor
        found = insight(pipeline)["stages"]
        told = [found[name]["cpu"] for name in ("sleeps", "computes")]
        if time.monotonic() > deadline or (None not in told and told[0] < told[1]):
            break
        time.sleep(0.05)
    seen.set()
    for thread in threads:
        thread.join()
    assert found["sleeps"]["cpu"] < 0.3
    assert found["computes"]["cpu"] > found["sleeps"]["cpu"]


def test_a_thread_that_ended_has_no_processor_time() -> None:
    """Asking for a thread that is gone is no crash."""
    ids = []
    thread = threading.Thread(target=lambda: ids.append(threading.get_native_id()))
    thread.start()
    thread.join()
    while _cpu.thread_time(ids[0]) is not None:
        time.sleep(0.01)
    assert _cpu.thread_time(threading.get_native_id()) > 0


def test_input_limits_a_pipeline_that_waits(pipeline, clock) -> None:
    """Where the workers wait for input one more of them brings nothing."""
    jobs = pipeline.queue(queue.Queue(10), "jobs")

    @pipeline.stage
    def work(event):
        clock.advance(0.01)

    def serve():
        while jobs.get() is not None:
            work(1)

    before = sight(pipeline)
    for _ in range(50):
        jobs.put(1)
        work(jobs.get())
    found = window(pipeline, before)
    for stage in found.stages.values():
        stage.seconds["idle"] = 1.0
    for group in found.groups:
        group.used = 0.3
    gain = predict(found, "work")
    assert (gain.share, gain.limit) == (0.0, "input")


def test_its_own_cost_is_told(pipeline) -> None:
    """What the calls of a thread cost adds up, and stays when it has ended."""
    work = pipeline.stage(lambda event: event, name="work")
    before = _cost.telemetry_cost()

    def run() -> None:
        for _ in range(2000):
            work(1)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    cost = _cost.telemetry_cost()
    assert cost.calls - before.calls == 2000
    assert 1e-5 < cost.recording - before.recording < 1
    assert (cost.detail, cost.chosen, cost.budget) == ("normal", "normal", 0.02)
    assert "stagelight" not in REGISTRY.pipelines


@pytest.mark.parametrize("within", [False, True])
def test_a_task_that_waits_for_room_is_blocked_while_it_waits(
    pipeline, clock, monkeypatch, within
) -> None:
    """Its time is neither missing nor working time, after the stage or inside of it."""
    monkeypatch.setattr(
        importlib.import_module("stagelight._queue._tasks"), "clock", clock
    )
    record = REGISTRY.pipeline(pipeline.name)

    async def main():
        jobs = pipeline.queue(asyncio.Queue(5), "jobs")
        full = pipeline.queue(asyncio.Queue(1), "full")
        await full.put(0)

        @pipeline.stage
        async def work(event):
            clock.advance(1)
            if within:
                await full.put(event)

        async def worker():
            event = await jobs.get()
            await work(event)
            if not within:
                await full.put(event)

        before = sight(pipeline)
        task = asyncio.create_task(worker())
        await jobs.put(1)
        for _ in range(5):
            await asyncio.sleep(0)
        clock.advance(3)
        waiting = Window(look(record)[0], before, REGISTRY.started)
        await full.get()
        await task
        return waiting, Window(look(record)[0], before, REGISTRY.started), record

    waiting, after, record = asyncio.run(main())
    for found in (waiting, after):
        stage = found.stages["work"]
        assert found.seconds == 4
        assert stage.seconds[_names.BLOCKED_STATE] == 0.75
        assert stage.inside == 0.25
    assert not record.stages["work"].held
