"""Signal handlers and finalizers that use stages and queues in the midst of ours."""

from __future__ import annotations

import queue

import pytest

from stagelight import _guard
from stagelight._workers import this_worker


class Thief(list):
    """A worker's pending events, which another call empties as they are looked at."""

    def __reversed__(self):
        found = super().__reversed__()
        items = list(found)
        self.clear()
        return iter(items)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("use", ["call", "put"])
def test_a_pending_event_that_is_taken_meanwhile(pipeline, known, use):
    """A handler's own call may take a fetched event between any two instructions."""

    @pipeline.stage
    def work(event):
        return event

    source = pipeline.queue(queue.Queue(), "source")
    target = pipeline.queue(queue.Queue(), "target")
    event = object()
    source.put(event)
    fetched = source.get()
    worker = this_worker()
    worker.pending = Thief(worker.pending)
    argument = fetched if known else object()
    if use == "call":
        assert work(argument) is argument
    else:
        target.put(argument)
    assert _guard.ERRORS == {}
