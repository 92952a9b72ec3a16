"""Requests in Scrapy's schedulers, of which this makes simple ones."""

from __future__ import annotations

import gc
import pickle
from collections import deque
from typing import Any

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation

from stagelight import _config
from stagelight.instrumentation._ledger import LEDGER
from stagelight.instrumentation.frameworks import _waiting
from stagelight.instrumentation.frameworks._patches import Patches
from stagelight.instrumentation.frameworks._waiting import giving, noting, waiting_in

SECOND = 1_000_000_000


class Memory:
    """What Scrapy's own queues say of themselves."""

    __module__ = "scrapy.squeues"


class Scheduler:
    """A scheduler, with requests on disk or in queues of somebody's own, or not."""

    def __init__(self, dqs: object, mqclass: type) -> None:
        self.dqs, self.mqclass = dqs, mqclass
        self.requests: deque[Any] = deque()

    def __len__(self) -> int:
        return len(self.requests)

    def enqueue_request(self, request: Any) -> object:
        """Take a request but for those that were seen, and nothing else."""
        if isinstance(request, Request):
            self.requests.append(request)
            return True
        if isinstance(request, str):
            return request
        raise TypeError(request)

    def next_request(self) -> Any:
        """The one that came last, None without any."""
        return self.requests.pop() if self.requests else None


class Request:
    """Weakly referable, as Scrapy's."""


@pytest.fixture(autouse=True)
def own_pipeline(request):
    """A pipeline of this test's own."""
    LEDGER.clear(_config.Settings(pipeline=request.node.name[-60:]))
    yield
    LEDGER.clear(_config.Settings())


@pytest.fixture
def given():
    """What ``giving`` told of, with the class's methods observed."""
    told: list[Any] = []
    patches = Patches()
    patches.replace(Scheduler, "enqueue_request", noting)
    patches.replace(Scheduler, "next_request", giving(lambda *one: told.append(one)))
    yield told
    patches.undo()


@pytest.mark.parametrize(
    ("dqs", "mqclass"), [(None, Memory), ([], Memory), (None, deque)]
)
def test_each_request_waits_from_its_put_on(dqs, mqclass, clock, given):
    """Last in, first out, from whatever queue; one that nobody saw has no wait."""
    scheduler = Scheduler(dqs, mqclass)
    waiting = waiting_in(scheduler)
    assert waiting_in(scheduler) is waiting
    began = clock.now
    for _ in range(3):
        assert scheduler.enqueue_request(Request()) is True
        clock.advance(1)
    last = scheduler.next_request()
    clock.advance(4)
    second = scheduler.next_request()
    scheduler.requests.append(unseen := Request())
    assert scheduler.next_request() is unseen
    assert given == [
        (scheduler, last, began + 2 * SECOND),
        (scheduler, second, began + 1 * SECOND),
        (scheduler, unseen, None),
    ]
    record = waiting.record
    assert (record.enqueued, record.dequeued, record.peak.now) == (3, 3, 3)
    assert (record.wait.count, record.wait.sum) == (2, (1 + 6) * SECOND)


def test_only_what_a_scheduler_took_is_noted(given):
    """What its methods return, raise and are called stays as it is without us."""
    scheduler = Scheduler(None, Memory)
    record = waiting_in(scheduler).record
    assert scheduler.enqueue_request("seen") == "seen"
    with pytest.raises(TypeError, match="7") as caught:
        scheduler.enqueue_request(7)
    assert [entry.name for entry in caught.traceback][1:] == ["enqueue_request"]
    assert scheduler.next_request() is None
    assert (record.enqueued, record.dequeued, given) == (0, 0, [])
    put = Scheduler.enqueue_request
    assert pickle.loads(pickle.dumps(put)) is put


@pytest.mark.usefixtures("lenient")
def test_a_put_is_noted_unless_that_is_suppressed(given, monkeypatch):
    """However it was called; what goes wrong stays here and is counted."""
    scheduler, other = Scheduler(None, Memory), Scheduler(None, Memory)
    record = waiting_in(scheduler).record
    with suppress_instrumentation():
        scheduler.enqueue_request(Request())
        assert scheduler.next_request() is not None
    assert (record.enqueued, record.dequeued, given) == (0, 0, [])
    scheduler.enqueue_request(Request())
    other.enqueue_request(request=Request())
    scheduler.enqueue_request(request=Request())
    assert (record.enqueued, record.peak.now) == (3, 0)
    scheduler.next_request()
    assert record.peak.now == 2
    monkeypatch.setattr(waiting_in(other), "since", None)
    assert other.enqueue_request(Request()) is True
    assert len(other.requests) == 2


def test_schedulers_share_a_queue_and_are_let_go():
    """One queue of all crawlers, whose size is that of the schedulers there are."""
    one, other = Scheduler(None, Memory), Scheduler(None, Memory)
    assert waiting_in(one).record is waiting_in(other).record
    one.requests.append(1)
    other.requests.extend((2, 3))
    gc.collect()
    before = _waiting._size()
    del other
    gc.collect()
    assert _waiting._size() == before - 2


def test_another_pipeline_has_a_queue_of_its_own():
    """As after a fork, or where observing begins anew."""
    scheduler = Scheduler(None, Memory)
    before = waiting_in(scheduler).record
    LEDGER.clear(_config.Settings(pipeline="another"))
    assert waiting_in(scheduler).record is not before
