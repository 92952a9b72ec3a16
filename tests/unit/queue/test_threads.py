from __future__ import annotations

import contextlib
import gc
import logging
import logging.handlers
import queue
import sys
import threading
import weakref

import pytest

from stagelight import _names, _sinks


class Newest(queue.Queue):
    """Keeps its items where no base class looks, newest first."""

    def _init(self, maxsize):
        self.items = []

    def _qsize(self):
        return len(self.items)

    def _put(self, item):
        self.items.append((len(self.items), item))

    def _get(self):
        return self.items.pop()[1]


class Ranked(queue.PriorityQueue):
    """Has a put of its own."""

    def put(self, item, rank=0, *, block=True, timeout=None):
        super().put((rank, id(item), item), block, timeout)

    def get(self, block=True, timeout=None):
        return super().get(block, timeout)[2]


class Item:
    """Anything that can be referred to weakly and compares equal to its like."""

    def __eq__(self, other):
        return isinstance(other, Item)

    def __hash__(self):
        return 1


def _stats(pipeline, name="q"):
    return pipeline.stats()["queues"][name]


def wait_until_waiting(condition):
    """Wait until a thread waits in a condition."""
    while not condition._waiters:
        threading.Event().wait(0.001)


def _started(target, *args):
    thread = threading.Thread(target=target, args=args, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def heard():
    """What the sinks are told."""
    records = []
    _sinks.EVENTS.append(records.append)
    yield records
    _sinks.EVENTS.remove(records.append)


@pytest.mark.parametrize(
    ("made", "items", "expected"),
    [
        (queue.Queue, [3, 1, 2], [3, 1, 2]),
        (queue.LifoQueue, [3, 1, 2], [2, 1, 3]),
        (queue.PriorityQueue, [3, 1, 2], [1, 2, 3]),
        (Newest, [3, 1, 2], [2, 1, 3]),
        (queue.Queue, [None, None, 1, 1], [None, None, 1, 1]),
    ],
)
def test_order_and_counts(pipeline, made, items, expected):
    """Every kind of queue keeps its order, and counts what went through."""
    q = made()
    assert pipeline.queue(q, "q") is q
    for item in items:
        q.put(item)
    assert (q.qsize(), _stats(pipeline)["size"]) == (len(items), len(items))
    assert [q.get() for _ in items] == expected
    seen = _stats(pipeline)
    assert (seen["enqueued"], seen["dequeued"], seen["size"]) == (len(items),) * 2 + (
        0,
    )
    assert seen["wait"]["count"] == len(items)
    assert seen["oldest_age"] == 0.0
    assert seen["capacity"] is None


def test_equal_items_keep_their_identity(pipeline):
    """What comes out is the very object that went in, equal ones included."""
    q = pipeline.queue(queue.Queue(), "q")
    items = [Item(), Item(), Item()]
    for item in items:
        q.put(item)
    assert all(q.get() is item for item in items)


def test_uncomparable_items_fail_as_ever(pipeline):
    """A priority queue refuses what it cannot compare, and goes on working."""
    plain, q = queue.PriorityQueue(), pipeline.queue(queue.PriorityQueue(), "q")
    for one in (plain, q):
        one.put((1, "a"))
        with pytest.raises(TypeError, match="'<' not supported"):
            one.put((1, object()))
    assert q.qsize() == plain.qsize()
    assert q.get() == (1, "a")
    assert _stats(pipeline)["enqueued"] == 1


def test_own_put_signature(pipeline):
    """A subclass's own put keeps its signature."""
    q = pipeline.queue(Ranked(1), "q")
    q.put("late", rank=2)
    with pytest.raises(queue.Full):
        q.put("early", rank=1, block=False)
    assert q.get() == "late"
    seen = _stats(pipeline)
    assert (seen["enqueued"], seen["refused"]) == (1, {_names.QUEUE_FULL: 1})


@pytest.mark.parametrize("made", [queue.Queue, Newest, Ranked])
def test_it_is_what_it_was(pipeline, made):
    """Class, representation and methods are those of the bare queue."""
    q = pipeline.queue(made(), "q")
    assert q.__class__ is made
    assert isinstance(q, made)
    assert type(q).__name__ == made.__name__
    assert repr(q).startswith(f"<{made.__module__}.{made.__qualname__} object")
    assert q.put.__self__ is q
    assert q.put.__name__ == "put"


def test_subclass_hears_of_no_subclass(pipeline):
    """A class that registers its subclasses does not learn of ours."""
    heard = []

    class Registered(queue.Queue):
        def __init_subclass__(cls, *, wanted, **named):
            heard.append(cls)

    pipeline.queue(Registered(), "q").put(1)
    assert heard == []


def test_refusals(pipeline):
    """Full raises as ever, at once and after a timeout, and is counted."""
    q = pipeline.queue(queue.Queue(1), "q")
    q.put(1)
    with pytest.raises(queue.Full):
        q.put_nowait(2)
    with pytest.raises(queue.Full):
        q.put(2, timeout=0.01)
    with pytest.raises(ValueError, match="non-negative"):
        q.put(2, timeout=-1)
    seen = _stats(pipeline)
    assert seen["refused"] == {_names.QUEUE_FULL: 2}
    assert (seen["capacity"], seen["enqueued"], seen["size"]) == (1, 1, 1)
    assert seen["put_blocked"] >= 0.01


def test_empty_raises_as_ever(pipeline):
    """Empty raises at once and after a timeout, and nothing is counted."""
    q = pipeline.queue(queue.Queue(), "q")
    with pytest.raises(queue.Empty):
        q.get_nowait()
    with pytest.raises(queue.Empty):
        q.get(timeout=0.01)
    assert _stats(pipeline)["dequeued"] == 0


@pytest.mark.skipif(sys.version_info < (3, 13), reason="shutdown is new in 3.13")
def test_shutdown_is_counted_as_closed(pipeline):
    """A put into a queue that was shut down raises as ever, and is counted."""
    q = pipeline.queue(queue.Queue(1), "q")
    q.put(1)
    thread_result = []

    def producer():
        try:
            q.put(2)
        except queue.ShutDown:
            thread_result.append("shut down")

    thread = _started(producer)
    wait_until_waiting(q.not_full)
    q.shutdown(immediate=True)
    thread.join(10)
    with pytest.raises(queue.ShutDown):
        q.put(3)
    seen = _stats(pipeline)
    assert thread_result == ["shut down"]
    assert seen["refused"] == {_names.QUEUE_CLOSED: 2}
    assert (seen["dequeued"], seen["size"], seen["oldest_age"]) == (0, 0, 0.0)


def test_open_wait_for_room_counts(pipeline):
    """A producer that still waits is in the blocked time already."""
    q = pipeline.queue(queue.Queue(1), "q")
    q.put(1)
    thread = _started(q.put, 2)
    wait_until_waiting(q.not_full)
    first = _stats(pipeline)["put_blocked"]
    second = _stats(pipeline)["put_blocked"]
    assert 0 < first < second
    q.get()
    thread.join(10)
    ended = _stats(pipeline)["put_blocked"]
    assert ended >= second
    assert _stats(pipeline)["put_blocked"] == ended


def test_high_watermark_is_kept_per_reader(pipeline):
    """Each reader sees the largest size since its own last look."""
    q = pipeline.queue(queue.Queue(), "q")
    peak = pipeline._record.queues["q"].peak

    class Reader:
        pass

    one, two = Reader(), Reader()
    for item in range(5):
        q.put(item)
    assert peak.read(one, q.qsize()) == 5
    for _ in range(4):
        q.get()
    assert peak.read(one, q.qsize()) == 5
    assert peak.read(one, q.qsize()) == 1
    assert peak.read(two, q.qsize()) == 5
    q.put(1)
    assert (peak.read(two, q.qsize()), peak.read(one, q.qsize())) == (2, 2)


@pytest.mark.parametrize(
    "made", [queue.Queue, queue.LifoQueue, queue.PriorityQueue, Newest]
)
def test_oldest_age(pipeline, made):
    """The oldest event is the one that waits longest, in any order of service."""
    q = pipeline.queue(made(), "q")
    record = pipeline._record.queues["q"]
    q.put(2)
    first = record.oldest()
    q.put(1)
    assert record.oldest() == first
    q.get()
    q.get()
    assert record.oldest() is None


@pytest.mark.parametrize("made", [queue.Queue, queue.LifoQueue, queue.PriorityQueue])
def test_cleared_behind_our_back(pipeline, made):
    """A cleared queue is empty to us, and the next event has a wait of its own."""
    q = pipeline.queue(made(), "q")
    for item in range(1000):
        q.put(item)
    with q.mutex:
        q.queue.clear()
    record = pipeline._record.queues["q"]
    assert (_stats(pipeline)["size"], _stats(pipeline)["oldest_age"]) == (0, 0.0)
    q.put(5)
    newest = record.oldest()
    mirror = q.__stagelight__.mirror
    assert mirror.count == 1
    q.get()
    assert _stats(pipeline)["wait"]["count"] == 1
    q.put(6)
    assert record.oldest() > newest


def test_clearing_a_large_priority_queue_is_cheap(pipeline):
    """The first put after a clear does not look at all entries for each of them."""
    q = pipeline.queue(queue.PriorityQueue(), "q")
    for item in range(100_000):
        q.put(item)
    with q.mutex:
        q.queue.clear()
    thread = _started(q.put, 1)
    thread.join(5)
    assert not thread.is_alive()
    assert q.__stagelight__.mirror.count == 1


@pytest.mark.parametrize(
    "made", [queue.Queue, queue.LifoQueue, queue.PriorityQueue, Newest]
)
def test_it_keeps_nothing(pipeline, made):
    """Neither items nor the queue live longer than without us."""
    q = pipeline.queue(made(), "q")
    q.put(Item())
    gone = weakref.ref(q.get())
    assert gone() is None
    q.put(Item())
    ref = weakref.ref(q)
    gc.disable()
    try:
        del q
        assert ref() is None
    finally:
        gc.enable()
    assert _stats(pipeline)["size"] is None


def test_methods_keep_the_queue_alive(pipeline):
    """A bound put and a bound get work after the last other reference is gone."""
    q = pipeline.queue(queue.Queue(), "q")
    put, get = q.put, q.get
    del q
    put("x")
    assert get() == "x"


def test_items_from_before_it_was_observed(pipeline):
    """What is in the queue already is fetched as ever, and was not enqueued by us."""
    q = queue.Queue()
    q.put("early")
    pipeline.queue(q, "q")
    assert q.get() == "early"
    seen = _stats(pipeline)
    assert (seen["enqueued"], seen["dequeued"], seen["size"]) == (0, 1, 0)


def test_counts_go_on_in_a_queue_of_the_same_name(pipeline):
    """A counter never goes back where a queue replaces one that is gone."""
    pipeline.queue(queue.Queue(), "q").put(1)
    q = pipeline.queue(queue.Queue(), "q")
    q.put(2)
    assert _stats(pipeline)["enqueued"] == 2


def test_task_done_and_join(pipeline):
    """Join waits for task_done, which may not be called too often."""
    q = pipeline.queue(queue.Queue(), "q")
    q.put(1)
    joined = threading.Event()
    thread = _started(lambda: (q.join(), joined.set()))
    wait_until_waiting(q.all_tasks_done)
    assert not joined.is_set()
    q.get()
    q.task_done()
    thread.join(10)
    assert joined.is_set()
    with pytest.raises(ValueError, match="too many times"):
        q.task_done()


def test_logging_into_an_observed_queue(pipeline):
    """A log handler that puts into the queue that we report on does not deadlock."""
    q = pipeline.queue(queue.Queue(3), "q")
    handler = logging.handlers.QueueHandler(q)
    handler.handleError = lambda record: None
    logger = logging.getLogger("into-the-queue")
    logger.propagate = False
    logger.addHandler(handler)
    sink = lambda record: logger.warning("%s", record.name)  # noqa: E731
    _sinks.EVENTS.append(sink)
    try:

        def produce():
            for item in range(6):
                with contextlib.suppress(queue.Full):
                    q.put(item, timeout=0.01)
            while not q.empty():
                q.get()
            q.put(7)

        thread = _started(produce)
        thread.join(10)
        assert not thread.is_alive()
    finally:
        _sinks.EVENTS.remove(sink)


def test_full_and_recovered_are_told_once_outside_of_the_lock(pipeline, heard):
    """Each edge is told once, while the queue is unlocked."""
    q = pipeline.queue(queue.Queue(2), "q")
    locked = []
    _sinks.EVENTS.append(lambda record: locked.append(q.mutex.locked()))
    try:
        for _ in range(2):
            q.put(1)
        for _ in range(3):
            with pytest.raises(queue.Full):
                q.put_nowait(1)
        q.get()
        q.put(1)
        q.put_nowait(1) if not q.full() else None
        with pytest.raises(queue.Full):
            q.put(1, timeout=0.01)
    finally:
        _sinks.EVENTS.pop()
    assert [(one.name, one.queue) for one in heard] == [
        (_names.QUEUE_FULL_EVENT, "q"),
        (_names.QUEUE_RECOVERED_EVENT, "q"),
        (_names.QUEUE_FULL_EVENT, "q"),
    ]
    assert locked == [False] * 3


def test_full_is_told_while_the_producer_waits(pipeline, heard):
    """A producer that waits for ever is told of when it begins to, not after."""
    q = pipeline.queue(queue.Queue(1), "q")
    q.put(1)
    thread = _started(q.put, 2)
    wait_until_waiting(q.not_full)
    assert [one.name for one in heard] == [_names.QUEUE_FULL_EVENT]
    assert [q.get(), q.get()] == [1, 2]
    thread.join(10)
    _started(q.get)
    wait_until_waiting(q.not_empty)
    assert [one.name for one in heard] == [
        _names.QUEUE_FULL_EVENT,
        _names.QUEUE_RECOVERED_EVENT,
    ]
    q.put(3)


def test_stats_may_be_asked_for_under_the_lock(pipeline):
    """A signal handler that interrupts a put may ask for the numbers."""
    q = pipeline.queue(queue.Queue(), "q")
    q.put(1)
    seen = []

    def ask():
        with q.mutex:
            seen.append(_stats(pipeline)["size"])

    _started(ask).join(10)
    assert seen == [1]


def test_counts_under_concurrency(pipeline):
    """Many producers and consumers lose no count and no event."""
    q = pipeline.queue(queue.Queue(10), "q")
    got = []

    def consume():
        while (item := q.get()) is not None:
            got.append(item)

    consumers = [_started(consume) for _ in range(8)]
    producers = [
        _started(lambda first: [q.put(first + n) for n in range(500)], 1000 * number)
        for number in range(8)
    ]
    for thread in producers:
        thread.join(30)
    for _ in consumers:
        q.put(None)
    for thread in consumers:
        thread.join(30)
    assert sorted(got) == [1000 * a + b for a in range(8) for b in range(500)]
    seen = _stats(pipeline)
    assert (seen["enqueued"], seen["dequeued"], seen["wait"]["count"]) == (4008,) * 3
    assert q.__stagelight__.mirror.count == 0


def test_a_queue_that_is_never_full_has_its_own_put(pipeline):
    """There a put has nothing to tell; where it may be refused it is ours."""
    endless = pipeline.queue(queue.Queue(), "endless")
    bounded = pipeline.queue(queue.Queue(1), "bounded")
    closes = hasattr(queue.Queue, "shutdown")
    assert (endless.put.__func__ is queue.Queue.put) is not closes
    assert bounded.put.__func__ is not queue.Queue.put
    endless.put(1)
    bounded.put(2)
    with pytest.raises(queue.Full):
        bounded.put_nowait(3)
    seen = pipeline.stats()["queues"]
    assert [seen[name]["enqueued"] for name in ("endless", "bounded")] == [1, 1]
    assert seen["bounded"]["refused"] == {"queue_full": 1}


def test_attributes_of_an_observed_queue_stay(pipeline):
    """What the program put on its queue is there, and can be set, as ever."""
    q = queue.Queue()
    q.label = "mine"
    mutex = q.mutex
    pipeline.queue(q, "q")
    q.more = 1
    assert (q.label, q.more, q.mutex is mutex) == ("mine", 1, True)
    assert q.not_empty._lock is mutex


def test_an_error_of_ours_is_counted_by_who_looks(pipeline, lenient):
    """Where no put speaks of it, the next look does."""
    q = pipeline.queue(queue.Queue(), "q")
    del q.__stagelight__.record.enqueued
    q.put(1)
    assert q.get() == 1
    q.__stagelight__.record.enqueued = 0
    assert pipeline.stats()["process"]["telemetry_errors"] == {"put": 1}
