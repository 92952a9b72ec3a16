from __future__ import annotations

import asyncio
import gc
import queue
import threading
import traceback
import weakref
from concurrent.futures import (
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    as_completed,
)

import pytest

import children


class Item:
    """Anything that can be referred to weakly."""


class Inline(Executor):
    """Runs a task where it is submitted."""

    def submit(self, fn, /, *args, **kwargs):
        """Run it."""
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as executors do
            future.set_exception(error)
        return future


@pytest.fixture
def pool(pipeline):
    """An observed pool of two threads."""
    with ThreadPoolExecutor(2) as executor:
        assert pipeline.pool(executor, "pool") is executor
        yield executor


def _seen(pipeline):
    return pipeline.stats()["pools"]["pool"]


def _counts(pipeline, stage="pool"):
    return pipeline.stats()["stages"][stage]["outcomes"]


def test_results_are_what_they_were(pipeline, pool):
    """Results, arguments and futures are the very objects of the program."""
    item = Item()
    future = pool.submit(children.give, item)
    assert type(future) is Future
    assert future.result(10) is item
    assert pool.submit(lambda *a, **k: (a, k), 1, b=2).result(10) == ((1,), {"b": 2})
    assert pool.submit(dict, fn=1, self=2).result(10) == {"fn": 1, "self": 2}
    assert list(pool.map(children.double, range(5))) == [0, 2, 4, 6, 8]
    done = [one.result() for one in as_completed([pool.submit(children.give, 1)], 10)]
    assert done == [1]
    pool.shutdown()
    seen = _seen(pipeline)
    assert (seen["submitted"], seen["completed"], seen["busy"]) == (9, 9, 0)
    assert (seen["limit"], seen["kind"]) == (2, "thread")
    assert seen["backlog"]["wait"]["count"] == 9
    assert seen["backlog"]["enqueued"] == seen["backlog"]["dequeued"] == 9
    assert _counts(pipeline) == {"success": 9}


def test_exceptions_are_what_they_were(pipeline, pool):
    """An exception is the very object, and its traceback ends where it was raised."""
    error = children.OwnError(3)

    def fail_now(_):
        raise error

    future = pool.submit(fail_now, 1)
    assert future.exception(10) is error
    assert traceback.extract_tb(error.__traceback__)[-1].name == "fail_now"
    with pytest.raises(TypeError, match="double"):
        pool.submit(children.double).result(10)
    pool.shutdown()
    assert _counts(pipeline) == {"failure": 2}
    with pytest.raises(TypeError, match=r"submit\(\) missing 1 required positional"):
        pool.submit()


def test_busy_and_backlog(pipeline, pool):
    """Running tasks are busy workers, waiting ones the backlog with its oldest age."""
    go, met = threading.Event(), threading.Barrier(3)

    def hold():
        met.wait(10)
        go.wait(10)

    futures = [pool.submit(hold) for _ in range(2)]
    met.wait(10)
    waiting = [pool.submit(children.give, number) for number in range(3)]
    seen = _seen(pipeline)
    assert (seen["busy"], seen["submitted"], seen["completed"]) == (2, 5, 0)
    assert (seen["backlog"]["size"], seen["backlog"]["high_watermark"]) == (3, 3)
    assert seen["backlog"]["oldest_age"] > 0
    assert waiting[1].cancel()
    assert _seen(pipeline)["backlog"]["size"] == 2
    go.set()
    for future in [*futures, waiting[0], waiting[2]]:
        future.result(10)
    with pytest.raises(CancelledError):
        waiting[1].result()
    pool.shutdown()
    seen = _seen(pipeline)
    assert (seen["busy"], seen["submitted"], seen["completed"]) == (0, 4, 4)
    assert (seen["backlog"]["size"], seen["backlog"]["oldest_age"]) == (0, 0.0)
    assert seen["backlog"]["enqueued"] == seen["backlog"]["dequeued"] == 5


def test_shutdown_with_cancel(pipeline, pool):
    """Tasks that a shutdown cancels never ran; later ones are refused as ever."""
    go, met = threading.Event(), threading.Barrier(3)

    def hold():
        met.wait(10)
        go.wait(10)

    running = [pool.submit(hold) for _ in range(2)]
    met.wait(10)
    waiting = [pool.submit(children.give, number) for number in range(3)]
    pool.shutdown(wait=False, cancel_futures=True)
    go.set()
    assert [future.cancelled() for future in waiting] == [True] * 3
    assert [future.result(10) for future in running] == [None] * 2
    with pytest.raises(RuntimeError, match="cannot schedule new futures after"):
        pool.submit(children.give, 1)
    pool.shutdown()
    seen = _seen(pipeline)
    assert (seen["submitted"], seen["completed"]) == (2, 2)
    assert seen["backlog"]["refused"] == {"queue_closed": 1}
    assert (seen["backlog"]["enqueued"], seen["backlog"]["size"]) == (5, 0)


def test_observed_stage_counts_once(pipeline, pool):
    """A stage that is submitted is recorded as itself, and as nothing else."""
    stage = pipeline.stage(children.double, name="double")
    assert pool.submit(stage, 4).result(10) == 8
    assert list(pool.map(stage, [1, 2])) == [2, 4]
    pool.shutdown()
    assert {name: _counts(pipeline, name) for name in pipeline.stats()["stages"]} == {
        "double": {"success": 3}
    }
    assert _seen(pipeline)["completed"] == 3


def test_worker_loops(pipeline, pool):
    """A task that fetches for itself is idle while it waits, not busy."""
    inbox = pipeline.queue(queue.Queue(), "in")
    stage = pipeline.stage(children.double, name="double")
    got = []

    def loop():
        while (item := inbox.get()) is not None:
            got.append(stage(item))

    futures = [pool.submit(loop) for _ in range(2)]
    for number in range(100):
        inbox.put(number)
    threading.Event().wait(0.1)
    for _ in futures:
        inbox.put(None)
    for future in futures:
        future.result(10)
    pool.shutdown()
    assert sorted(got) == [2 * number for number in range(100)]
    stages = pipeline.stats()["stages"]
    assert stages["double"]["outcomes"] == {"success": 100}
    assert stages["pool"]["outcomes"] == {"success": 2}
    idle = sum(one["worker_seconds"]["idle"] for one in stages.values())
    busy = sum(one["worker_seconds"]["busy"] for one in stages.values())
    assert idle >= 0.15
    assert busy < idle


def test_counts_under_concurrency(pipeline):
    """Tasks submitted by many threads at once are all counted."""
    with pipeline.pool(ThreadPoolExecutor(8), "pool") as executor:

        def submit():
            for number in range(250):
                executor.submit(children.fail if number % 5 == 0 else abs, 1)

        threads = [threading.Thread(target=submit) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    seen = _seen(pipeline)
    assert (seen["submitted"], seen["completed"], seen["busy"]) == (2000, 2000, 0)
    assert seen["backlog"]["wait"]["count"] == 2000
    assert _counts(pipeline) == {"success": 1600, "failure": 400}


def test_it_keeps_nothing(pipeline):
    """Arguments, futures and the executor go when they always went."""
    executor = pipeline.pool(ThreadPoolExecutor(1), "pool")
    item, released = Item(), threading.Event()
    argument = weakref.ref(item, lambda _: released.set())
    gc.disable()
    try:
        future = executor.submit(lambda one: None, item)
        del item
        future.result(10)
        # The worker drops its last reference right after it set the result.
        assert released.wait(10)
        assert argument() is None
        gone = weakref.ref(future)
        executor.submit(abs, 1).result(10)
        del future
        assert gone() is None
        thread = next(iter(executor._threads))
        collected = threading.Event()
        ref = weakref.ref(executor, lambda _: collected.set())
        del executor
        # The worker looks at its executor once more before it waits.
        assert collected.wait(10)
        assert ref() is None
        thread.join(10)
        assert not thread.is_alive()
    finally:
        gc.enable()


def test_bound_submit_keeps_the_executor(pipeline):
    """A bound submit is all that a program needs to keep."""
    submit = pipeline.pool(ThreadPoolExecutor(1), "pool").submit
    gc.collect()
    assert submit(abs, -1).result(10) == 1
    submit.__self__.shutdown()


def test_run_in_executor(pipeline, pool):
    """An event loop hands its calls to the observed pool."""

    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(loop.run_in_executor(pool, children.double, n) for n in range(4))
        )

    assert asyncio.run(main()) == [0, 2, 4, 6]
    pool.shutdown()
    assert _counts(pipeline) == {"success": 4}


def test_executor_of_another_kind(pipeline):
    """An executor that runs tasks where they are submitted leaves that thread alone."""
    executor = pipeline.pool(Inline(), "pool")
    inbox = pipeline.queue(queue.Queue(), "in")
    outer = pipeline.stage(
        lambda item: executor.submit(children.double, item).result(), name="outer"
    )
    inbox.put(4)
    assert outer(inbox.get()) == 8
    with pytest.raises(children.OwnError):
        executor.submit(children.fail, 1).result()
    stages = pipeline.stats()["stages"]
    assert stages["outer"]["outcomes"] == {"success": 1}
    assert stages["pool"]["outcomes"] == {"success": 1, "failure": 1}
    before = pipeline.stats()["stages"]["pool"]["worker_seconds"]["idle"]
    threading.Event().wait(0.02)
    assert pipeline.stats()["stages"]["pool"]["worker_seconds"]["idle"] == before


def test_initializer_and_broken_pool(pipeline):
    """A failing initializer breaks the pool as ever."""
    executor = pipeline.pool(
        ThreadPoolExecutor(1, initializer=children.fail, initargs=(1,)), "pool"
    )
    future = executor.submit(abs, 1)
    with pytest.raises(RuntimeError, match="initializer failed"):
        future.result(10)
    with pytest.raises(RuntimeError, match="initializer failed"):
        executor.submit(abs, 1)
    executor.shutdown()
    seen = _seen(pipeline)
    assert (seen["busy"], seen["backlog"]["size"]) == (0, 0)
