"""Requests that wait in Scrapy's schedulers: since when, and how many."""

from __future__ import annotations

import weakref
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight._aside import step_aside
from stagelight.instrumentation._ledger import LEDGER
from stagelight.instrumentation.frameworks._brokers import broker_queue
from stagelight.instrumentation.frameworks._wrapping import (
    PLACE,
    SUPPRESSED,
    current,
    quietly,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Waiting:
    """The requests that wait in a scheduler.

    Args:
        scheduler: The scheduler.

    Attributes:
        scheduler: A reference to it.
        pipeline: The pipeline that the queue belongs to.
        record: The queue that it is part of.
        same: Whether it gives back the very objects that it was given.
        since: Clock at the put of each, by its identity where they are the same.
    """

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = weakref.ref(scheduler)
        self.pipeline = LEDGER.pipeline
        self.record = broker_queue("requests", "a Scrapy scheduler", _size)
        # Its own queues in memory give back the object that they were given.
        kind = getattr(getattr(scheduler, "mqclass", None), "__module__", "")
        self.same = getattr(scheduler, "dqs", None) is None and kind == "scrapy.squeues"
        self.since: Any = {} if self.same else weakref.WeakKeyDictionary()

    def got(self, request: Any) -> int | None:
        """Note that it gave one; when it took that, as far as it is known."""
        record, key = self.record, id(request) if self.same else request
        record.dequeued += 1
        # Whoever reads the peak knows the size by then: it went down here only.
        scheduler = None if self.same else self.scheduler()
        size = len(self.since) if scheduler is None else len(scheduler) + 1
        record.peak.note(size)
        since: int | None = self.since.pop(key, None)
        if since is not None:  # else it was on disk, and is another object now
            record.wait.record(clock() - since)
        return since


def waiting_in(scheduler: Any) -> Waiting:
    """What is known of a scheduler, which is part of one queue with all others.

    Args:
        scheduler: The scheduler.
    """
    known = _LATEST[0]
    if (
        known is not None
        and known.scheduler() is scheduler
        and known.pipeline is LEDGER.made
    ):
        return known
    found = _SCHEDULERS.get(scheduler)
    if found is None or found.pipeline is not LEDGER.made:
        found = _SCHEDULERS[scheduler] = Waiting(scheduler)
    _LATEST[0] = found
    return found


def noting(original: Any) -> Any:
    """A scheduler's ``enqueue_request`` that notes what the scheduler took.

    A page may well bring twenty requests, so it is written out: calls cost more.

    Args:
        original: The method as its class has it.
    """

    def enqueue_request(*args: Any, **kwargs: Any) -> Any:  # handed on as they are
        try:
            taken = original(*args, **kwargs)
        except BaseException as error:
            step_aside(error)
            raise
        if taken is True:
            try:
                context = current()
                if context and context.get(SUPPRESSED):
                    return taken
                if kwargs:
                    scheduler, request = args[0], kwargs["request"]
                else:
                    scheduler, request = args
                known = _LATEST[0]
                if (
                    known is None
                    or known.scheduler() is not scheduler
                    or known.pipeline is not LEDGER.made
                ):
                    known = waiting_in(scheduler)
                known.record.enqueued += 1
                known.since[id(request) if known.same else request] = clock()
            except Exception as error:  # noqa: BLE001 - never into Scrapy
                _guard.caught(PLACE, error)
        return taken

    return enqueue_request


def giving(tell: Callable[[Any, Any, int | None], object]) -> Callable[[Any], Any]:
    """What makes a scheduler's ``next_request`` note what the scheduler gives.

    Args:
        tell: Is told of the scheduler, the request, and clock at its put if known.
    """

    def got(scheduler: Any, request: Any) -> None:
        tell(scheduler, request, waiting_in(scheduler).got(request))

    def make(original: Any) -> Any:
        def next_request(*args: Any, **kwargs: Any) -> Any:
            try:
                request = original(*args, **kwargs)
            except BaseException as error:
                step_aside(error)
                raise
            if request is not None:
                quietly(got, args[0], request)
            return request

        return next_request

    return make


def _size() -> int:
    return sum(map(len, list(_SCHEDULERS)))


#: Scheduler -> what is known of it.
_SCHEDULERS: Final[weakref.WeakKeyDictionary[Any, Waiting]] = (
    weakref.WeakKeyDictionary()
)
#: The one that was asked for last.
_LATEST: Final[list[Waiting | None]] = [None]
