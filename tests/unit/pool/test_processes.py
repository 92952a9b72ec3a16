from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool

import pytest

import children
import stagelight

METHODS = ["fork", "spawn", "forkserver"]
# Python 3.12 warns of a fork beside threads: pools and pytest have some.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def _executor(pipeline, method, workers=2, **options):
    context = multiprocessing.get_context(method)
    executor = ProcessPoolExecutor(workers, mp_context=context, **options)
    return pipeline.pool(executor, "pool")


def _seen(pipeline):
    return pipeline.stats()["pools"]["pool"]


def _counts(pipeline):
    stages = pipeline.stats()["stages"]
    return {name: stage["outcomes"] for name, stage in stages.items()}


@pytest.mark.parametrize("method", METHODS)
def test_results_are_what_they_were(pipeline, method):
    """Results and futures are as without us, whatever the start method."""
    with _executor(
        pipeline, method, initializer=children.initial, initargs=("set",)
    ) as executor:
        future = executor.submit(children.give, children.Event(1))
        assert type(future) is Future
        assert future.result(30) == children.Event(1)
        assert executor.submit(children.read_initial).result(30) == "set"
        assert executor.submit(children.pid).result(30) != os.getpid()
        assert list(executor.map(children.double, range(6), chunksize=3)) == [
            0,
            2,
            4,
            6,
            8,
            10,
        ]
        futures = [executor.submit(children.double, n) for n in range(4)]
        assert sorted(one.result() for one in as_completed(futures, 30)) == [0, 2, 4, 6]
    seen = _seen(pipeline)
    assert (seen["submitted"], seen["completed"], seen["busy"]) == (9, 9, 0)
    assert (seen["limit"], seen["kind"]) == (2, "process")
    assert (seen["backlog"]["size"], seen["backlog"]["wait"]["count"]) == (0, 9)
    # Two of the tasks were chunks of three calls.
    assert _counts(pipeline) == {"pool": {"success": 13}}


def test_a_result_may_come_before_submit_returns(pipeline, monkeypatch):
    """A task that ends while it is being submitted has its own result all the same."""
    submit = ProcessPoolExecutor.submit

    def slow(*args, **kwargs):
        future = submit(*args, **kwargs)
        wait([future], 30)
        return future

    monkeypatch.setattr(ProcessPoolExecutor, "submit", slow)

    class Own(ProcessPoolExecutor):
        pass

    context = multiprocessing.get_context("fork")
    with pipeline.pool(Own(1, mp_context=context), "pool") as executor:
        assert executor.submit(children.give, [1]).result(30) == [1]
    seen = _seen(pipeline)
    assert (seen["completed"], seen["backlog"]["wait"]["count"]) == (1, 1)
    assert _counts(pipeline) == {"pool": {"success": 1}}


@pytest.mark.parametrize("method", METHODS)
def test_exceptions_are_what_they_were(pipeline, method):
    """An exception keeps its class, its arguments, and the remote traceback."""
    with _executor(pipeline, method, 1) as executor:
        error = executor.submit(children.fail, 7).exception(30)
    assert (type(error), error.code, str(error)) == (children.OwnError, 7, "code 7")
    remote = str(error.__cause__)
    assert type(error.__cause__).__name__ == "_RemoteTraceback"
    assert remote.rstrip().rstrip('"').rstrip().endswith("OwnError: code 7")
    assert "in fail" in remote
    assert _counts(pipeline) == {"pool": {"failure": 1}}


def test_what_does_not_pickle_fails_alike(pipeline):
    """Functions, arguments and results that do not pickle fail with the same error."""
    tasks = [
        (lambda: 1, ()),
        (children.give, (children.Unpicklable(),)),
        (children.unpicklable, (1,)),
    ]

    def errors(executor):
        with executor:
            found = [executor.submit(fn, *args).exception(30) for fn, args in tasks]
        return [(type(error), str(error)) for error in found]

    context = multiprocessing.get_context("fork")
    bare = errors(ProcessPoolExecutor(1, mp_context=context))
    assert errors(_executor(pipeline, "fork", 1)) == bare
    assert _seen(pipeline)["busy"] == 0


@pytest.mark.parametrize("function", ["fail_at_three", "fail_unpicklably_at_three"])
def test_a_chunk_that_fails(pipeline, function):
    """The calls of a chunk count up to the one that fails, whether that pickles."""

    def end(executor):
        with executor, pytest.raises(Exception) as caught:  # noqa: PT011 - compared
            list(executor.map(getattr(children, function), range(6), chunksize=6))
        told = f"{caught.value} {caught.value.__cause__}"
        return type(caught.value), re.sub("0x[0-9a-f]+", "0x", told)

    context = multiprocessing.get_context("fork")
    bare = end(ProcessPoolExecutor(1, mp_context=context))
    assert end(_executor(pipeline, "fork", 1)) == bare
    assert _counts(pipeline) == {"pool": {"success": 3, "failure": 1}}


def test_broken_pool(pipeline):
    """A worker that dies breaks the pool as ever."""
    with _executor(pipeline, "fork", 1) as executor:
        with pytest.raises(BrokenProcessPool):
            executor.submit(children.leave, 3).result(30)
        with pytest.raises(BrokenProcessPool):
            executor.submit(children.double, 1)
    seen = _seen(pipeline)
    assert (seen["busy"], seen["backlog"]["size"]) == (0, 0)
    assert seen["backlog"]["refused"] == {"queue_closed": 1}
    assert _counts(pipeline) == {"pool": {"failure": 1}}


def _exists(path):
    for _ in range(4000):
        if path.exists():
            return
        time.sleep(0.005)
    pytest.fail(f"{path} never appeared")


def test_busy_backlog_and_cancel(pipeline, tmp_path):
    """Running tasks are busy workers; those beyond are the backlog."""
    flag, go = tmp_path / "flag", tmp_path / "go"
    with _executor(pipeline, "fork", 1) as executor:
        running = executor.submit(children.meet, str(flag), str(go))
        waiting = [executor.submit(children.double, n) for n in range(4)]
        _exists(flag)
        seen = _seen(pipeline)
        assert (seen["busy"], seen["backlog"]["size"]) == (1, 4)
        assert seen["backlog"]["oldest_age"] > 0
        assert waiting[-1].cancel()
        assert _seen(pipeline)["backlog"]["size"] == 3
        go.touch()
        running.result(30)
        assert [one.result(30) for one in waiting[:3]] == [0, 2, 4]
    seen = _seen(pipeline)
    assert (seen["submitted"], seen["completed"], seen["busy"]) == (4, 4, 0)
    assert seen["backlog"]["enqueued"] == seen["backlog"]["dequeued"] == 5
    assert _counts(pipeline) == {"pool": {"success": 4}}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="new in 3.11")
def test_max_tasks_per_child(pipeline):
    """Workers that are replaced after each task lose no count."""
    with _executor(pipeline, "spawn", 1, max_tasks_per_child=1) as executor:
        pids = [executor.submit(children.pid).result(30) for _ in range(3)]
    assert len(set(pids)) == 3
    assert _counts(pipeline) == {"pool": {"success": 3}}


@pytest.mark.parametrize("method", METHODS)
def test_observed_stage_is_not_recorded_twice(pipeline, method):
    """A stage that is submitted is recorded where it runs, not by the pool as well."""
    stage = pipeline.stage(children.double, name="double")
    with _executor(pipeline, method, 1) as executor:
        assert executor.submit(stage, 2).result(30) == 4
        assert list(executor.map(stage, [1, 2, 3], chunksize=2)) == [2, 4, 6]
        assert executor.submit(children.stage_counts, pipeline.name).result(30) == {
            "double": {"success": 4}
        }
    assert _counts(pipeline) == {"double": {}, "pool": {"success": 1}}


def test_a_forked_child_has_no_backlog(pipeline, tmp_path):
    """What waits in the parent does not wait in its children as well."""
    flag, go = tmp_path / "flag", tmp_path / "go"
    with _executor(pipeline, "fork", 1) as executor:
        running = executor.submit(children.meet, str(flag), str(go))
        waiting = executor.submit(children.double, 1)
        _exists(flag)
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        child = context.Process(
            target=lambda: answers.put(stagelight.Pipeline(pipeline.name).stats())
        )
        child.start()
        there = answers.get(timeout=30)["pools"]["pool"]
        child.join(30)
        assert (there["busy"], there["backlog"]["size"]) == (0, 0)
        go.touch()
        assert (running.result(30) > 0, waiting.result(30)) == (True, 2)


def test_executor_does_not_pickle_as_ever(pipeline):
    """An executor fails to pickle with the error of the bare one."""
    errors = []
    with ProcessPoolExecutor(1) as bare, _executor(pipeline, "fork", 1) as observed:
        for executor in (bare, observed):
            with pytest.raises(TypeError) as caught:
                pickle.dumps(executor)
            errors.append(str(caught.value))
    assert errors[0] == errors[1]
