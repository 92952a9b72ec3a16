from __future__ import annotations

import gc
import queue
import threading
import weakref

import pytest


class Item:
    pass


def _stats(pipeline):
    return pipeline.stats()["queues"]["q"]


def test_it_stands_for_the_queue(pipeline):
    """The wrapper passes for the C type, and hands out the user's own objects."""
    q = pipeline.queue(queue.SimpleQueue(), "q")
    assert isinstance(q, queue.SimpleQueue)
    item = Item()
    q.put(item, block=True, timeout=None)
    q.put_nowait(None)
    assert (q.qsize(), q.empty()) == (2, False)
    assert q.get() is item
    assert q.get_nowait() is None
    with pytest.raises(queue.Empty):
        q.get_nowait()
    with pytest.raises(queue.Empty):
        q.get(timeout=0.01)
    with pytest.raises(ValueError, match="non-negative"):
        q.get(timeout=-1)
    seen = _stats(pipeline)
    assert (seen["enqueued"], seen["dequeued"], seen["size"]) == (2, 2, 0)
    assert (seen["capacity"], seen["wait"]["count"]) == (None, 2)


def test_put_from_a_finalizer(pipeline):
    """A put that a finalizer makes inside of a put goes through."""
    q = pipeline.queue(queue.SimpleQueue(), "q")

    class Farewell:
        def __init__(self):
            self.own = self

        def __del__(self):
            q.put("gone")

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for number in range(200):
            Farewell()
            q.put(number)
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    got = [q.get() for _ in range(400)]
    assert [one for one in got if one != "gone"] == list(range(200))
    assert q.empty()
    assert _stats(pipeline)["dequeued"] == 400


def test_inner_queue_used_beside_it(pipeline):
    """What the inner queue takes or gives is not ours, and leaves nothing behind."""
    inner = queue.SimpleQueue()
    q = pipeline.queue(inner, "q")
    inner.put("raw")
    assert q.get() == "raw"
    for _ in range(5000):
        q.put(Item())
        inner.get()
    seen = _stats(pipeline)
    assert (seen["size"], seen["oldest_age"], seen["high_watermark"]) == (0, 0.0, 1)
    assert q._flow.mirror.count <= 1100
    q.put("x")
    assert _stats(pipeline)["oldest_age"] < 1
    assert q.get() == "x"


def test_it_keeps_nothing(pipeline):
    """Neither items nor the queue live longer than without us."""
    q = pipeline.queue(queue.SimpleQueue(), "q")
    q.put(Item())
    gone = weakref.ref(q.get())
    assert gone() is None
    ref = weakref.ref(q)
    gc.disable()
    try:
        del q
        assert ref() is None
    finally:
        gc.enable()
    assert _stats(pipeline)["size"] is None


def test_counts_under_concurrency(pipeline):
    """Many producers and consumers lose no count, no event and no carrier."""
    q = pipeline.queue(queue.SimpleQueue(), "q")
    got = []

    def consume():
        while (item := q.get()) is not None:
            got.append(item)

    def produce(first):
        for number in range(1000):
            q.put(first + number)

    consumers = [threading.Thread(target=consume) for _ in range(8)]
    producers = [threading.Thread(target=produce, args=(n * 1000,)) for n in range(8)]
    for thread in consumers + producers:
        thread.start()
    for thread in producers:
        thread.join(30)
    for _ in consumers:
        q.put(None)
    for thread in consumers:
        thread.join(30)
    assert sorted(got) == list(range(8000))
    seen = _stats(pipeline)
    assert (seen["enqueued"], seen["dequeued"], seen["wait"]["count"]) == (8008,) * 3
    assert q._flow.mirror._entries == {}


def test_empty_has_no_context(pipeline):
    """That it was empty before we waited is nothing that the program caused."""
    q = pipeline.queue(queue.SimpleQueue(), "in")
    with pytest.raises(queue.Empty) as caught:
        q.get(timeout=0.001)
    assert caught.value.__context__ is None
