"""What tests run in child processes: importable there, whatever the start method."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path


class Event:
    """An event of a user's own class."""

    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        return type(other) is Event and other.number == self.number

    def __hash__(self):
        return hash(self.number)


class Unpicklable:
    """An event that does not pickle."""

    def __reduce__(self):
        raise TypeError("this one stays here")


class OwnError(Exception):
    """An exception with an argument of its own."""

    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code

    def __reduce__(self):
        return OwnError, (self.code,)


def relay(inbox, outbox):
    """Hand on what arrives as its type and itself, until None arrives."""
    while (item := inbox.get()) is not None:
        outbox.put((type(item).__name__, item))
        if hasattr(inbox, "task_done"):
            inbox.task_done()


def relay_by_methods(get, put):
    """Hand on what arrives, by bound methods, until None arrives."""
    while (item := get()) is not None:
        put(item)


def queue_stats(inbox, outbox):
    """Fetch one event, and hand on what this process knows of its queues."""
    from stagelight._registry import REGISTRY

    inbox.get()
    outbox.put(
        [
            (queue.name, queue.enqueued, queue.dequeued, queue.wait.count)
            for queue in REGISTRY.queues()
        ]
    )


def observe_again(inbox, outbox):
    """Observe a queue that is observed already, and fetch one event."""
    import stagelight

    pipeline = stagelight.Pipeline("unit")
    same = pipeline.queue(inbox, "in") is inbox
    event = inbox.get()
    outbox.put([same, event, pipeline.stats()["queues"]["in"]["dequeued"]])


def double(number):
    """Twice the number."""
    return 2 * number


def fail(code):
    """Raise an exception of our own."""
    raise OwnError(code)


def leave(code):
    """End the process at once."""
    os._exit(code)


def give(value):
    """The value itself."""
    return value


def unpicklable(_):
    """A result that does not pickle."""
    return threading.Lock()


def pid(_=None):
    """Which process this is."""
    return os.getpid()


def meet(flag, go):
    """Tell that this runs, and wait to be let go."""
    Path(flag).touch()
    while not Path(go).exists():
        time.sleep(0.005)
    return os.getpid()


def initial(value):
    """Note what the initializer was given."""
    INITIAL.append(value)


INITIAL = []


def read_initial():
    """What the initializer was given."""
    return INITIAL[0]


def stage_counts(pipeline):
    """What this process counted, by stage and outcome."""
    import stagelight

    stages = stagelight.Pipeline(pipeline).stats()["stages"]
    return {name: one["outcomes"] for name, one in stages.items() if one["outcomes"]}


def current_trace(_):
    """Trace id of the span that is current here."""
    from opentelemetry import trace

    return trace.get_current_span().get_span_context().trace_id


def fail_at_three(number):
    """The number itself, but for three."""
    if number == 3:
        raise OwnError(number)
    return number


def fail_unpicklably_at_three(number):
    """The number itself, but for three: that exception does not pickle."""
    if number == 3:
        raise OwnError(threading.Lock())
    return number


def nap(number):
    """The number itself, a little later."""
    time.sleep(0.02)
    return number
