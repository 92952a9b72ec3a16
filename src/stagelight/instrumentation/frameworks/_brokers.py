"""Queues that live in a broker: counted by those who put and get, sized by asking."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from time import monotonic
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from stagelight import _guard
from stagelight._buffers import QueueRecord
from stagelight._registry import REGISTRY
from stagelight.instrumentation._ledger import LEDGER, Entry
from stagelight.instrumentation.frameworks._delivery import Delivery
from stagelight.instrumentation.frameworks._steps import tidy

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._journey import Journey

#: Seconds for which an answer of the broker holds.
_FRESH: Final = 1.0
_LOCK: Final = threading.RLock()


def broker_queue(
    name: str, rule: str, ask: Callable[[], int | None] | None = None
) -> QueueRecord:
    """The record of a broker's queue, made on its first use.

    Args:
        name: As its users call it.
        rule: Why it is observed, for ``--explain``.
        ask: Asks the broker for its size; None where that takes an event loop.
    """
    home: Any = LEDGER.pipeline._record  # noqa: SLF001 - as the emitters do
    wanted = tidy(name)
    with REGISTRY.lock:
        known: QueueRecord
        for known in home.queues.values():
            if getattr(known, "broker", None) == (rule, name):
                break
        else:
            free = wanted
            number = 2
            while free in home.queues or free in home.pools:
                free = f"{wanted[:60]}-{number}"
                number += 1
            known = home.queues[free] = _BrokerRecord(home, free, (rule, name))
            LEDGER.note(Entry("queue", free, rule, name))
    if ask is not None:
        known.size = _Cached(ask)
    return known


class LocalQueue:
    """A framework's own queue in this process: first in, first out.

    Args:
        name: As its users call it.
        rule: Why it is observed, for ``--explain``.
        owner: The framework's object, which is not kept alive.
        capacity: Its bound, None without one.
    """

    def __init__(
        self, name: str, rule: str, owner: Any, capacity: int | None = None
    ) -> None:
        self._waiting: deque[tuple[int, Journey]] = deque()
        self.record = record = _free_record(tidy(name))
        record.owner = weakref.ref(owner)
        record.automatic = True
        waiting = self._waiting
        record.size = lambda: len(waiting)
        record.capacity = lambda: capacity
        record.oldest = lambda: waiting[0][0] if waiting else None
        LEDGER.note(Entry("queue", record.name, rule, name, capacity))

    def put(self, journey: Journey) -> None:
        """Note an event that went in."""
        record = self.record
        with record.lock:
            self._waiting.append((clock(), journey))
            record.enqueued += 1
            record.peak.note(len(self._waiting))

    def get(self) -> Delivery | None:
        """The arrival of the event that came out now."""
        record = self.record
        with record.lock:
            if not self._waiting:
                return None
            at, journey = self._waiting.popleft()
            wait = clock() - at
            record.dequeued += 1
            record.wait.record(wait)
        return Delivery(journey, record.name, wait)


def _free_record(wanted: str) -> QueueRecord:
    """The record of a name that no living queue or pool has."""
    home: Any = LEDGER.pipeline._record  # noqa: SLF001 - as the emitters do
    with REGISTRY.lock:
        name, number = wanted, 1
        while True:
            known = home.queues.get(name)
            if name not in home.pools and (
                known is None or (known.owner is not None and known.owner() is None)
            ):
                break
            number += 1
            name = f"{wanted[:60]}-{number}"
        if known is None:
            known = home.queues[name] = QueueRecord(home, name)
        found: QueueRecord = known
        return found


class _BrokerRecord(QueueRecord):
    """A queue whose events are not in this process."""

    def __init__(self, pipeline: Any, name: str, broker: tuple[str, str]) -> None:
        super().__init__(pipeline, name)
        self.broker = broker
        self.shared = True
        self.automatic = True
        # It lives as long as its record does.
        self.owner = weakref.ref(self)


class _Cached:
    """The size of a queue, asked at most once a second, None where that fails."""

    def __init__(self, ask: Callable[[], int | None]) -> None:
        self._ask = ask
        self._pid = os.getpid()
        self._until = 0.0
        self._size: int | None = None

    def __call__(self) -> int | None:
        if self._pid != os.getpid():
            return None  # the parent tells it, once
        now = monotonic()
        with _LOCK:
            if now < self._until:
                return self._size
            self._until = now + _FRESH
        # Nobody wants a span of our own question.
        quiet = otel_context.set_value("suppress_instrumentation", True)  # noqa: FBT003
        token = otel_context.attach(quiet)
        try:
            self._size = self._ask()
        except Exception as error:  # noqa: BLE001 - the broker is away: its size is unknown
            self._size = None
            _guard.LOG.debug("stagelight: a queue's size is unknown: %s", error)
        finally:
            otel_context.detach(token)
        return self._size
