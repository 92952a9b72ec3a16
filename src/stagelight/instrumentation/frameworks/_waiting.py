"""Requests that wait in Scrapy's schedulers: since when, and how many."""

from __future__ import annotations

import weakref
from time import perf_counter_ns as clock
from typing import Any, Final

from stagelight.instrumentation._ledger import LEDGER
from stagelight.instrumentation.frameworks._brokers import broker_queue


class Waiting:
    """The requests that wait in a scheduler: a page may well bring twenty.

    Args:
        scheduler: The scheduler.

    Attributes:
        scheduler: A reference to it.
        pipeline: The pipeline that the queue belongs to.
        record: The queue that it is part of.
    """

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = weakref.ref(scheduler)
        self.pipeline = LEDGER.pipeline
        self.record = broker_queue("requests", "a Scrapy scheduler", _size)
        # Its own queues in memory give back the object that they were given.
        kind = getattr(getattr(scheduler, "mqclass", None), "__module__", "")
        self._same = (
            getattr(scheduler, "dqs", None) is None and kind == "scrapy.squeues"
        )
        self._since: Any = {} if self._same else weakref.WeakKeyDictionary()

    def put(self, scheduler: Any, request: Any) -> None:
        """Note that the scheduler took a request."""
        record, since = self.record, self._since
        record.enqueued += 1
        if self._same:
            since[id(request)] = clock()
            record.peak.note(len(since))
        else:
            since[request] = clock()
            record.peak.note(len(scheduler))

    def got(self, request: Any) -> int | None:
        """Note that it gave one; when it took that, as far as it is known."""
        record = self.record
        record.dequeued += 1
        since: int | None
        since = self._since.pop(id(request) if self._same else request, None)
        if since is not None:  # else it was on disk, and is another object now
            record.wait.record(clock() - since)
        return since


def waiting_in(scheduler: Any) -> Waiting:
    """What is known of a scheduler, which is part of one queue with all others.

    Args:
        scheduler: The scheduler.
    """
    for known in _LATEST:
        if known.scheduler() is scheduler and known.pipeline is LEDGER.made:
            return known
    found = _SCHEDULERS.get(scheduler)
    if found is None or found.pipeline is not LEDGER.made:
        found = _SCHEDULERS[scheduler] = Waiting(scheduler)
    _LATEST[:] = [found]
    return found


def _size() -> int:
    return sum(map(len, list(_SCHEDULERS)))


#: Scheduler -> what is known of it.
_SCHEDULERS: Final[weakref.WeakKeyDictionary[Any, Waiting]] = (
    weakref.WeakKeyDictionary()
)
#: The one that was asked for last.
_LATEST: Final[list[Waiting]] = []
