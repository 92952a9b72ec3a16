"""Queues are told apart as objects, whatever they think of each other."""

from __future__ import annotations

import gc
import queue
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import pytest

import stagelight
from stagelight._known import Known


class Alike(queue.Queue):
    """Equal to all of its kind, and without a hash."""

    __hash__ = None

    def __eq__(self, other):
        return isinstance(other, Alike)


def test_equal_queues_without_a_hash(pipeline):
    """Each is observed as itself."""
    first = pipeline.queue(Alike(), "first")
    second = pipeline.queue(Alike(), "second")
    first.put(1)
    assert first.get() == 1
    assert pipeline.queue(second, "second") is second
    stats = pipeline.stats()["queues"]
    assert [stats[name]["dequeued"] for name in ("first", "second")] == [1, 0]


def test_equal_executors_without_a_hash(pipeline):
    """The same holds for pools."""

    class Pool(ThreadPoolExecutor):
        __hash__ = None

        def __eq__(self, other):
            return isinstance(other, Pool)

    with Pool(1) as first, Pool(1) as second:
        pipeline.pool(first, "first")
        pipeline.pool(second, "second")
        assert first.submit(int, "3").result() == 3
    stats = pipeline.stats()["pools"]
    assert [stats[name]["completed"] for name in ("first", "second")] == [1, 0]


@pytest.mark.parametrize("target", [[], deque(), {}, 3])
def test_what_is_no_queue_is_a_clear_error(pipeline, target):
    """Also where it has no hash."""
    with pytest.raises(stagelight.ConfigurationError, match=r"it takes queue\.Queue"):
        pipeline.queue(target, "q")


def test_nothing_is_kept_alive():
    """What is known of an object goes with it, and is nothing of its successor."""
    known = Known()

    class Thing:
        pass

    thing = Thing()
    known.add(thing, "one")
    assert known.get(thing) == "one"
    assert known.get(Thing()) is None
    del thing
    gc.collect()
    assert known._entries == {}
