"""Requests in Scrapy's schedulers, of which this makes simple ones."""

from __future__ import annotations

import gc
from collections import deque
from typing import Any

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation

from stagelight import _config
from stagelight.instrumentation._ledger import LEDGER
from stagelight.instrumentation.frameworks import _waiting, scrapy
from stagelight.instrumentation.frameworks._waiting import waiting_in

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


class Request:
    """Weakly referable, as Scrapy's."""


@pytest.fixture(autouse=True)
def own_pipeline(request):
    """A pipeline of this test's own."""
    LEDGER.clear(_config.Settings(pipeline=request.node.name[-60:]))
    yield
    LEDGER.clear(_config.Settings())


@pytest.mark.parametrize(
    ("dqs", "mqclass"), [(None, Memory), ([], Memory), (None, deque)]
)
def test_each_request_waits_from_its_put_on(dqs, mqclass, clock):
    """Last in, first out, from whatever queue; one that nobody saw has no wait."""
    scheduler = Scheduler(dqs, mqclass)
    waiting = waiting_in(scheduler)
    assert waiting_in(scheduler) is waiting
    began = clock.now
    for _ in range(3):
        scheduler.requests.append(request := Request())
        waiting.put(scheduler, request)
        clock.advance(1)
    del request
    assert waiting.got(scheduler.requests.pop()) == began + 2 * SECOND
    clock.advance(4)
    assert waiting.got(scheduler.requests.pop()) == began + 1 * SECOND
    assert waiting.got(Request()) is None
    record = waiting.record
    assert (record.enqueued, record.dequeued, record.peak.now) == (3, 3, 3)
    assert (record.wait.count, record.wait.sum) == (2, (1 + 6) * SECOND)


@pytest.mark.usefixtures("lenient")
def test_a_put_is_noted_unless_that_is_suppressed():
    """However it was called; what goes wrong stays here and is counted."""
    scheduler, one, other = Scheduler(None, Memory), Request(), Request()
    record = waiting_in(scheduler).record
    with suppress_instrumentation():
        scrapy._put((scheduler, one), {})
    assert record.enqueued == 0
    scrapy._put((scheduler, one), {})
    scrapy._put((scheduler,), {"request": other})
    assert (record.enqueued, record.peak.now) == (2, 2)
    scrapy._put((), {})
    assert record.enqueued == 2


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
