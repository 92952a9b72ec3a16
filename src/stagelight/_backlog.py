"""The queues before the exporters: what finds no room there is counted and told."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from typing import Any, Final

from stagelight import _guard
from stagelight._guard import LOST
from stagelight._renewal import reinit

TRACES: Final = "traces"
METRICS: Final = "metrics"
LOGS: Final = "logs"
LOST_LOCK: Final = threading.Lock()
#: Every queue that is watched.
BACKLOGS: Final[list[Backlog]] = []


def lose(signal: str, number: int) -> None:
    """Count telemetry items that did not get out.

    Args:
        signal: ``traces``, ``metrics`` or ``logs``.
        number: How many.
    """
    with LOST_LOCK:
        LOST[signal] = LOST.get(signal, 0) + number


class Backlog(deque[Any]):
    """The queue of a batch processor, which counts what it has no room for."""

    def __init__(self, signal: str, room: int) -> None:
        super().__init__(maxlen=room)
        self.signal = signal
        self.dropped = 0
        self.told = 0
        # Reentrant: a finalizer may end a span between any two instructions.
        self.lock = threading.RLock()

    def appendleft(self, item: Any) -> None:
        with self.lock:
            full = len(self) == self.maxlen
            super().appendleft(item)
            self.dropped += full
        if full:
            lose(self.signal, 1)

    def pop(self) -> Any:  # type: ignore[override]
        with self.lock:
            return super().pop()

    def abandon(self) -> None:
        """Count all that is left as lost."""
        with self.lock:
            left = len(self)
            self.clear()
        if left:
            lose(self.signal, left)

    def tell(self) -> None:
        """Say what had no room, once the exporter is known to work."""
        fresh, self.told = self.dropped - self.told, self.dropped
        if fresh:
            _guard.warn_once(
                f"full {self.signal}",
                "stagelight: %d %s were dropped, the queue of %d before the exporter "
                "was full; a larger OTEL_%s_MAX_QUEUE_SIZE holds more. Later ones are "
                "only counted in stagelight.telemetry.dropped.",
                fresh,
                "spans" if self.signal == TRACES else "log records",
                self.maxlen,
                "BSP" if self.signal == TRACES else "BLRP",
            )


class _NotFull(logging.Filter):
    """Keeps back what the SDK says of a full queue: ours counts and says it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (
            str(record.msg).startswith("Queue full")
            and any(len(queue) == queue.maxlen for queue in BACKLOGS)
        )


NOT_FULL: Final = _NotFull()


def counting(queue: Any, signal: str) -> Any:
    """A batch processor's queue that counts what it drops; any other as it is.

    Args:
        queue: Where the processor keeps what waits.
        signal: ``traces`` or ``logs``.
    """
    if not isinstance(queue, deque) or not queue.maxlen:
        return queue
    backlog = Backlog(signal, queue.maxlen)
    backlog.extend(queue)
    BACKLOGS.append(backlog)
    return backlog


def _after_fork() -> None:
    reinit([LOST_LOCK, *(queue.lock for queue in BACKLOGS)])
    for queue in BACKLOGS:
        queue.dropped = queue.told = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
