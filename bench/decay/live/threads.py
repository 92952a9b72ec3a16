"""Real threads of which one runs at a time, until it waits in virtual time.

A thread that sleeps or waits for a queue hands on to the next that is due. So the order
is that of the clock, and the same each time.
"""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.decay.live.clock import Clock


class _Turn:
    """One thread's right to run."""

    __slots__ = ("baton", "waiting")

    def __init__(self) -> None:
        self.baton = threading.Lock()
        self.baton.acquire()
        #: What it waits for now: a number, so that an old timer wakes nobody.
        self.waiting = 0


class Threads:
    """Whose turn it is.

    Args:
        clock: The time.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.current = _Turn()
        self._ready: deque[_Turn] = deque()
        self._timers: list[tuple[float, int, int, _Turn]] = []
        self._number = 0

    def install(self) -> None:
        """Let ``time.sleep`` take virtual time, in this process for good."""
        time.sleep = self.sleep

    def spawn(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Run something in a thread, from when this one waits.

        Args:
            function: What it runs.
            *arguments: Its arguments.
        """
        turn = _Turn()

        def run() -> None:
            turn.baton.acquire()
            self.current = turn
            function(*arguments)
            self._next().baton.release()

        threading.Thread(target=run, name=function.__name__, daemon=True).start()
        self._ready.append(turn)

    def sleep(self, seconds: float) -> None:
        """Wait for virtual time.

        Args:
            seconds: How long.
        """
        self.park(max(seconds, 0.0))

    def park(self, seconds: float | None = None) -> None:
        """Wait until woken, or until the time is over.

        Args:
            seconds: How long at the most.
        """
        turn = self.current
        self._number += 1
        turn.waiting = self._number
        if seconds is not None:
            due = (self.clock.running + seconds, self._number, self._number, turn)
            heapq.heappush(self._timers, due)
        following = self._next()
        if following is not turn:
            following.baton.release()
            turn.baton.acquire()
        self.current = turn

    def wake(self, turn: _Turn) -> None:
        """End a thread's wait.

        Args:
            turn: Its turn.
        """
        if turn.waiting:
            turn.waiting = 0
            self._ready.append(turn)

    def _next(self) -> _Turn:
        if self._ready:
            return self._ready.popleft()
        while self._timers:
            due, _, number, turn = heapq.heappop(self._timers)
            if turn.waiting == number:
                turn.waiting = 0
                self.clock.running = max(self.clock.running, due)
                return turn
        raise RuntimeError("every thread waits for another")

    def queue(self, capacity: int) -> queue.Queue[Any]:
        """A queue whose waits take virtual time.

        Args:
            capacity: Its bound.
        """
        found: queue.Queue[Any] = queue.Queue(capacity)
        found.not_empty = _Condition(found.mutex, self)
        found.not_full = _Condition(found.mutex, self)
        return found


class _Condition(threading.Condition):
    """A condition whose waiters hand on their turn."""

    def __init__(self, lock: Any, threads: Threads) -> None:
        super().__init__(lock)
        self._threads = threads
        self._parked: deque[_Turn] = deque()

    def wait(self, timeout: float | None = None) -> bool:
        turn = self._threads.current
        self._parked.append(turn)
        self.release()
        try:
            self._threads.park(timeout)
        finally:
            self.acquire()
        woken = turn not in self._parked
        if not woken:
            self._parked.remove(turn)
        return woken

    def notify(self, n: int = 1) -> None:
        for _ in range(min(n, len(self._parked))):
            self._threads.wake(self._parked.popleft())
