from __future__ import annotations

import gc
import multiprocessing
import os
from multiprocessing.pool import ThreadPool

import pytest

import children

#: Other start methods are slow: one test has them all.
KINDS = ["fork", "thread"]
ALL = [*KINDS, "spawn", "forkserver"]
# Python 3.12 warns of a fork beside threads: pools and pytest have some.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def _bare(kind, workers=2):
    if kind == "thread":
        return ThreadPool(workers)
    return multiprocessing.get_context(kind).Pool(workers)


def _pool(pipeline, kind, workers=2):
    return pipeline.pool(_bare(kind, workers), "pool")


def _end(pool):
    pool.close()
    pool.join()


def _seen(pipeline):
    return pipeline.stats()["pools"]["pool"]


def _outcomes(pipeline):
    return pipeline.stats()["stages"]["pool"]["outcomes"]


@pytest.mark.parametrize("kind", ALL)
def test_results_are_what_they_were(pipeline, kind):
    """Every way to call gives the same results in the same order; each call counts."""
    pool = _pool(pipeline, kind)
    heard = []
    assert pool.apply(children.give, (children.Event(1),)) == children.Event(1)
    async_ = pool.apply_async(children.double, (4,), callback=heard.append)
    assert async_.get(30) == 8
    assert pool.map(children.double, range(7)) == [0, 2, 4, 6, 8, 10, 12]
    assert pool.map(children.double, iter(range(5)), chunksize=2) == [0, 2, 4, 6, 8]
    assert pool.map(children.double, []) == []
    assert pool.starmap(divmod, [(7, 2), (9, 4)]) == [(3, 1), (2, 1)]
    assert list(pool.imap(children.double, iter(range(4)))) == [0, 2, 4, 6]
    assert list(pool.imap(children.double, range(5), chunksize=3)) == [0, 2, 4, 6, 8]
    assert sorted(pool.imap_unordered(children.double, range(4))) == [0, 2, 4, 6]
    assert pool.apply(dict, (), {"a": 1}) == {"a": 1}
    _end(pool)
    seen = _seen(pipeline)
    assert heard == [8]
    assert (seen["submitted"], seen["completed"], seen["busy"]) == (30, 30, 0)
    assert (seen["limit"], seen["kind"]) == (
        2,
        "thread" if kind == "thread" else "process",
    )
    backlog = seen["backlog"]
    assert (backlog["size"], backlog["wait"]["count"]) == (0, 30)
    assert (backlog["enqueued"], backlog["dequeued"]) == (30, 30)
    assert _outcomes(pipeline) == {"success": 30}


def _text(error):
    """An exception, and what it says of its traceback in the worker."""
    return type(error), error.args, str(error.__cause__)


def _error(call, *args, **kwargs):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is compared
        call(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_exceptions_are_what_they_were(pipeline, kind):
    """An exception keeps its class, arguments and remote traceback; calls count."""

    def errors(pool):
        found = [
            _text(_error(pool.apply, children.fail, (7,))),
            _text(_error(pool.map, children.fail_at_three, range(6), 6)),
            _text(_error(pool.starmap, children.fail, [(1,)])),
            _text(_error(list, pool.imap(children.fail, [3]))),
            _text(_error(list, pool.imap(children.give, _broken()))),
        ]
        _end(pool)
        return found

    bare = errors(_bare(kind))
    assert errors(_pool(pipeline, kind)) == bare
    assert _outcomes(pipeline) == {"success": 4, "failure": 4}
    seen = _seen(pipeline)
    assert (seen["submitted"], seen["completed"]) == (8, 8)
    assert (seen["backlog"]["size"], seen["busy"]) == (0, 0)
    assert pipeline.stats()["stages"]["pool"]["errors"] == {"children.OwnError": 4}


def _broken():
    yield 1
    raise LookupError("no more")


def test_what_does_not_pickle_fails_alike(pipeline):
    """What does not pickle fails with the same error, and its calls count."""

    def errors(pool):
        found = [
            _error(pool.apply, children.unpicklable, (1,)),
            _error(pool.map, children.fail_unpicklably_at_three, range(6), 6),
            _error(pool.apply, children.give, (children.Unpicklable(),)),
            _error(pool.map, children.give, [1, children.Unpicklable()], 1),
        ]
        assert pool.apply(children.double, (2,)) == 4
        _end(pool)
        return [(type(one), one.args[0].partition(" at ")[0]) for one in found]

    bare = errors(_bare("fork", 1))
    assert errors(_pool(pipeline, "fork", 1)) == bare
    assert _outcomes(pipeline) == {"success": 5, "failure": 2}
    seen = _seen(pipeline)
    assert (seen["backlog"]["size"], seen["busy"]) == (0, 0)
    assert seen["submitted"] == seen["completed"] == 7


@pytest.mark.parametrize("kind", KINDS)
def test_terminated(pipeline, kind):
    """What a pool drops as it is terminated does not wait any more."""
    pool = _pool(pipeline, kind, 1)
    pool.map_async(children.nap, range(50), chunksize=1)
    assert _seen(pipeline)["backlog"]["size"] > 30
    assert _seen(pipeline)["backlog"]["oldest_age"] > 0
    pool.terminate()
    pool.join()
    seen = _seen(pipeline)
    assert (seen["backlog"]["size"], seen["backlog"]["oldest_age"]) == (0, 0)
    assert seen["busy"] <= 1
    error = _error(pool.apply, children.double, (1,))
    assert (type(error), str(error)) == (ValueError, "Pool not running")
    assert _seen(pipeline)["backlog"]["refused"] == {"queue_closed": 1}


def test_a_stage_counts_itself(pipeline):
    """A function that is a stage is recorded where it runs, and not by the pool."""
    stage = pipeline.stage(children.double)
    with _pool(pipeline, "thread", 1) as pool:
        assert pool.map(stage, [1, 2, 3]) == [2, 4, 6]
    stages = pipeline.stats()["stages"]
    assert {name: one["count"] for name, one in stages.items()} == {"double": 3}
    assert _seen(pipeline)["backlog"]["wait"]["count"] == 3


@pytest.mark.parametrize("kind", KINDS)
def test_journeys(pipeline, spans, kind):
    """Calls are in the trace of a span around them, else each has its own."""
    pool = _pool(pipeline, kind, 1)
    with spans.tracer.start_as_current_span("run") as span:
        inside = pool.map(children.current_trace, range(3))
    outside = pool.map(children.current_trace, range(3))
    _end(pool)
    assert set(inside) == {span.get_span_context().trace_id}
    assert len({*inside, *outside}) == 4


def test_a_subclass_of_the_users(pipeline):
    """A pool class of the user's own is observed as well."""

    class Own(ThreadPool):
        def apply_async(self, func, *args, **kwargs):
            return super().apply_async(func, *args, **kwargs)

    with pipeline.pool(Own(1), "pool") as pool:
        assert type(pool).__name__ == "Own"
        assert pool.apply(os.path.basename, ("a/b",)) == "b"
    assert _outcomes(pipeline) == {"success": 1}


def test_a_name_is_used_again(pipeline):
    """A pool may have the name of one that is gone, and be of another kind."""
    pool = _pool(pipeline, "thread", 1)
    assert pool.apply(children.double, (1,)) == 2
    _end(pool)
    del pool
    gc.collect()
    pool = _pool(pipeline, "fork", 1)
    assert pool.apply(children.double, (2,)) == 4
    _end(pool)
    assert _seen(pipeline)["kind"] == "process"
    assert _outcomes(pipeline) == {"success": 2}
