"""Queues that live in a broker: counted by those who put and get, sized by asking."""

from __future__ import annotations

import os
import threading
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from stagelight import _guard
from stagelight._buffers import QueueRecord
from stagelight._registry import REGISTRY
from stagelight.instrumentation._ledger import LEDGER, Entry
from stagelight.instrumentation.frameworks._steps import tidy

if TYPE_CHECKING:
    from collections.abc import Callable

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


class _BrokerRecord(QueueRecord):
    """A queue whose events are not in this process."""

    def __init__(self, pipeline: Any, name: str, broker: tuple[str, str]) -> None:
        super().__init__(pipeline, name)
        self.broker = broker
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
