"""A bounded queue and a thread for each target: a hanging one holds up nobody else."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from stagelight import _guard
from stagelight._renewal import reinit

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight.alerts._notice import Notice

ROOM: Final = 200
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
#: Attempts after which a notice is given up: about a quarter of an hour.
_ATTEMPTS: Final = 20


class Target(Protocol):
    """Where notices go.

    Attributes:
        name: How it is called in messages.
        again: Seconds after which it wants to be called with nothing new, or None.
    """

    name: str
    again: float | None

    def send(self, notices: list[Notice]) -> None:
        """Deliver; any error means that it is to be tried again."""


class Refused(Exception):  # noqa: N818 - says what happened
    """The target will never take this: trying again is of no use."""


def started(job: Callable[[], None], name: str) -> threading.Thread | None:
    """A thread that does a job, or None where there can be none.

    Args:
        job: What it does.
        name: Its name.
    """
    thread = threading.Thread(target=job, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # there are too many, or the program ends
        _guard.caught("alerts", error)
        return None
    return thread


class Outbox:
    """Delivers to one target, in order, again where it fails.

    Args:
        target: The target.
        room: How many notices may wait; beyond that the oldest are given up.
    """

    def __init__(self, target: Target, room: int = ROOM) -> None:
        self.target = target
        self.sent = 0
        self.lost = 0
        self._waiting: deque[Notice] = deque()
        self._room = room
        self._changed = threading.Condition(threading.Lock())
        self._closing = False
        self._thread: threading.Thread | None = None

    def put(self, notices: list[Notice]) -> None:
        """Take notices; never blocks.

        Args:
            notices: What to deliver.
        """
        with self._changed:
            self._waiting.extend(notices)
            while len(self._waiting) > self._room:
                self._waiting.popleft()
                self._lose(1)
            self._changed.notify()
            if self._thread is None:
                self._begin()

    def _begin(self) -> None:
        """Start the thread, with the first notice: most programs never need it."""
        self._thread = started(self._run, f"stagelight-alerts-{self.target.name}")

    def close(self, timeout: float) -> None:
        """Deliver what waits, as far as the time allows.

        Args:
            timeout: Seconds.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(max(deadline - time.monotonic(), 0))

    def _lose(self, number: int) -> None:
        self.lost += number
        _guard.LOST["alerts"] = _guard.LOST.get("alerts", 0) + number

    def _run(self) -> None:
        pause, attempts = _FIRST_PAUSE, 0
        while True:
            batch = self._next()
            if batch is None:
                return
            try:
                self.target.send(batch)
                problem: Exception | None = None
            except Exception as error:  # noqa: BLE001 - whatever a target raises
                problem = error
            if problem is None:
                self._done(batch)
                pause, attempts = _FIRST_PAUSE, 0
                continue
            attempts += 1
            given_up = isinstance(problem, Refused) or attempts >= _ATTEMPTS
            _guard.warn_once(
                f"alerts to {self.target.name}",
                "stagelight cannot deliver alerts to %s: %s; it %s, and counts what "
                "is lost in stagelight.telemetry.dropped",
                self.target.name,
                problem,
                "gives up" if isinstance(problem, Refused) else "tries again",
            )
            if given_up or self._closing:
                self._done(batch, lost=True)
                attempts = 0
            if not isinstance(problem, Refused):
                self._wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _next(self) -> list[Notice] | None:
        """What waits; nothing where the target wants to be called again."""
        with self._changed:
            if not self._waiting and not self._closing:
                self._changed.wait(self.target.again)
            if self._closing and not self._waiting:
                return None
            return list(self._waiting)

    def _done(self, batch: list[Notice], *, lost: bool = False) -> None:
        with self._changed:
            for one in batch:  # some may have been pushed out meanwhile
                if self._waiting and self._waiting[0] is one:
                    self._waiting.popleft()
                    if lost:
                        self._lose(1)
                    else:
                        self.sent += 1

    def _wait(self, seconds: float) -> None:
        with self._changed:
            if not self._closing:
                self._changed.wait_for(lambda: self._closing, seconds)

    def after_fork(self) -> None:
        """A child has no such thread, and tells nobody."""
        reinit([self._changed._lock])  # type: ignore[attr-defined]  # noqa: SLF001
        self._waiting.clear()
        self._thread = None
