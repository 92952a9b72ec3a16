from __future__ import annotations

import asyncio
import gc
import multiprocessing
import pickle
import queue
import threading
import time
import weakref

import pytest

import children
from stagelight import _names

METHODS = ["fork", "spawn", "forkserver"]
# Python 3.12 warns of a fork beside threads: pytest and feeders have some.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def _stats(pipeline, name="in"):
    return pipeline.stats()["queues"][name]


def until(condition):
    """Wait until a condition holds that another process makes true."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.005)
    pytest.fail("it never came true")


@pytest.mark.parametrize("method", METHODS)
def test_events_arrive_as_they_are(pipeline, method):
    """A child gets the user's own objects, whether it observes the queue or not."""
    context = multiprocessing.get_context(method)
    inbox = pipeline.queue(context.Queue(5), "in")
    outbox = pipeline.queue(context.Queue(), "out")
    child = context.Process(target=children.relay, args=(inbox, outbox))
    child.start()
    events = [children.Event(1), {"id": 2}, "three", 4, [5, None], b"6"]
    for event in events:
        inbox.put(event)
    inbox.put(None)
    got = [outbox.get(timeout=20) for _ in events]
    child.join(20)
    assert got == [(type(event).__name__, event) for event in events]
    assert child.exitcode == 0
    seen = _stats(pipeline)
    assert (seen["enqueued"], seen["dequeued"], seen["capacity"]) == (7, 0, 5)
    back = _stats(pipeline, "out")
    assert (back["dequeued"], back["capacity"], back["wait"]["count"]) == (6, None, 6)


@pytest.mark.parametrize("method", METHODS)
def test_a_child_may_observe_it_again(pipeline, method):
    """A child that is given an observed queue may ask for it in the same words."""
    context = multiprocessing.get_context(method)
    inbox = pipeline.queue(context.Queue(), "in")
    outbox = context.Queue()
    child = context.Process(target=children.observe_again, args=(inbox, outbox))
    child.start()
    inbox.put("event")
    assert outbox.get(timeout=20) == [True, "event", 1]
    child.join(20)
    assert child.exitcode == 0


@pytest.mark.parametrize("method", METHODS)
def test_wait_is_recorded_by_the_consumer(pipeline, method):
    """A fetched event counts in the process that fetched it, and only there."""
    context = multiprocessing.get_context(method)
    inbox = pipeline.queue(context.Queue(), "in")
    outbox = context.Queue()
    child = context.Process(target=children.queue_stats, args=(inbox, outbox))
    child.start()
    inbox.put(1)
    got = outbox.get(timeout=20)
    child.join(20)
    assert got == [("in", 0, 1, 1)]
    seen = _stats(pipeline)
    assert (seen["enqueued"], seen["dequeued"], seen["wait"]["count"]) == (1, 0, 0)


@pytest.mark.parametrize("method", METHODS)
def test_methods_pickle(pipeline, method):
    """Bound methods travel to a child as those of the bare queue do."""
    context = multiprocessing.get_context(method)
    inbox = pipeline.queue(context.Queue(), "in")
    outbox = pipeline.queue(context.Queue(), "out")
    child = context.Process(
        target=children.relay_by_methods, args=(inbox.get, outbox.put)
    )
    child.start()
    inbox.put(children.Event(1))
    inbox.put(None)
    assert outbox.get(timeout=20) == children.Event(1)
    child.join(20)
    assert child.exitcode == 0


def test_joinable_queue(pipeline):
    """Join waits for the task_done of another process."""
    context = multiprocessing.get_context("fork")
    inbox = pipeline.queue(context.JoinableQueue(), "in")
    outbox = context.Queue()
    child = context.Process(target=children.relay, args=(inbox, outbox))
    child.start()
    for number in range(3):
        inbox.put(number)
    inbox.join()
    inbox.put(None)
    assert [outbox.get(timeout=20)[1] for _ in range(3)] == [0, 1, 2]
    child.join(20)
    inbox.get_nowait if inbox.empty() else inbox.get()
    inbox.task_done()
    with pytest.raises(ValueError, match="too many times"):
        inbox.task_done()


def test_events_put_where_nobody_observes(pipeline):
    """An event that came without a carrier counts as fetched, with no wait."""
    q = multiprocessing.Queue()
    q.put("early")
    pipeline.queue(q, "in")
    assert q.get(timeout=10) == "early"
    seen = _stats(pipeline)
    assert (seen["enqueued"], seen["dequeued"], seen["wait"]["count"]) == (0, 1, 0)


def test_refusals(pipeline):
    """Full, Empty, timeouts and a closed queue raise as ever."""
    q = pipeline.queue(multiprocessing.Queue(1), "in")
    with pytest.raises(queue.Empty):
        q.get_nowait()
    with pytest.raises(queue.Empty):
        q.get(timeout=0.01)
    q.put(1)
    with pytest.raises(queue.Full):
        q.put_nowait(2)
    with pytest.raises(queue.Full):
        q.put(2, timeout=0.01)
    assert q.get(timeout=10) == 1
    q.close()
    q.join_thread()
    with pytest.raises(ValueError, match="is closed"):
        q.put(3)
    seen = _stats(pipeline)
    assert (seen["enqueued"], seen["dequeued"]) == (1, 1)
    assert seen["refused"] == {_names.QUEUE_FULL: 2}
    assert seen["put_blocked"] >= 0.01


def test_feeder_error_is_about_the_users_object(pipeline, capfd):
    """What does not pickle is reported with the user's error, and blocks nothing."""
    context = multiprocessing.get_context("fork")

    class Watched(multiprocessing.queues.Queue):
        seen = []  # noqa: RUF012 - shared on purpose

        def _on_queue_feeder_error(self, error, obj):
            self.seen.append((str(error), obj))

    item = children.Unpicklable()
    plain = pipeline.queue(context.Queue(1), "in")
    plain.put(item)
    until(lambda: "this one stays here" in capfd.readouterr().err)
    plain.put(1)
    assert plain.get(timeout=10) == 1

    own = pipeline.queue(Watched(1, ctx=context), "own")
    own.put(item)
    until(lambda: Watched.seen)
    assert Watched.seen == [("this one stays here", item)]


def test_own_put_sees_the_event(pipeline):
    """A subclass's own put gets the event itself, with arguments of its own."""
    seen = []

    class Own(multiprocessing.queues.Queue):
        def put(self, obj, label="none"):
            seen.append((type(obj), label))
            super().put(obj)

    q = pipeline.queue(Own(ctx=multiprocessing.get_context("fork")), "in")
    q.put(children.Event(1), label="own")
    assert q.get(timeout=10) == children.Event(1)
    assert seen == [(children.Event, "own")]
    assert _stats(pipeline)["enqueued"] == 1


def test_open_wait_for_room_counts(pipeline):
    """A producer that still waits is in the blocked time already."""
    q = pipeline.queue(multiprocessing.Queue(1), "in")
    q.put(1)
    thread = threading.Thread(target=q.put, args=(2,))
    thread.start()
    until(lambda: _stats(pipeline)["put_blocked"] > 0)
    assert [q.get(timeout=10), q.get(timeout=10)] == [1, 2]
    thread.join(10)
    seen = _stats(pipeline)
    assert (seen["enqueued"], seen["dequeued"], seen["wait"]["count"]) == (2, 2, 2)


def test_it_cannot_be_pickled_elsewhere(pipeline):
    """Pickling it outside of a spawn fails with the library's own error."""
    errors = []
    for q in (multiprocessing.Queue(), pipeline.queue(multiprocessing.Queue(), "in")):
        with pytest.raises(RuntimeError) as caught:
            pickle.dumps(q)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def test_queue_is_freed(pipeline):
    """The queue dies with its last reference, and its feeder with it."""
    q = pipeline.queue(multiprocessing.Queue(), "in")
    q.put(1)
    assert q.get(timeout=10) == 1
    feeder = q._thread
    ref = weakref.ref(q)
    gc.disable()
    try:
        del q
        assert ref() is None
    finally:
        gc.enable()
    feeder.join(10)
    assert not feeder.is_alive()


@pytest.mark.parametrize("method", METHODS)
def test_many_producers(pipeline, method):
    """Events of several threads all arrive in the child, in their threads' order."""
    context = multiprocessing.get_context(method)
    inbox = pipeline.queue(context.Queue(10), "in")
    outbox = context.Queue()
    child = context.Process(target=children.relay, args=(inbox, outbox))
    child.start()
    producers = [
        threading.Thread(target=lambda n=n: [inbox.put((n, i)) for i in range(100)])
        for n in range(4)
    ]
    for thread in producers:
        thread.start()
    got = [outbox.get(timeout=20)[1] for _ in range(400)]
    for thread in producers:
        thread.join(10)
    inbox.put(None)
    child.join(20)
    assert {n: [i for m, i in got if m == n] for n in range(4)} == {
        n: list(range(100)) for n in range(4)
    }
    assert _stats(pipeline)["enqueued"] == 401


def test_an_event_fetched_on_an_event_loop_is_counted_once(pipeline):
    """There the fetched event is the task's, and the thread has none pending."""
    q = pipeline.queue(multiprocessing.Queue(), "in")

    async def fetch():
        q.put("event")
        return q.get(timeout=20)

    assert asyncio.run(fetch()) == "event"
    assert _stats(pipeline)["dequeued"] == 1
