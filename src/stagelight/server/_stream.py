"""Server-sent events: the document once a second, made once for all who watch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from stagelight import _guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from stagelight.health._monitor import Monitor

#: Seconds between two documents.
PERIOD: Final = 1.0
#: Pages that are open at once.
MOST: Final = 32


class Stream:
    """Sends the document to all who watch.

    Args:
        make: Makes the document as JSON.
        monitor: Looks more often while somebody watches.
    """

    def __init__(self, make: Callable[[], bytes], monitor: Monitor) -> None:
        self._make = make
        self._monitor = monitor
        self._watchers: set[asyncio.Queue[bytes]] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether as many watch as may."""
        return len(self._watchers) >= MOST

    async def events(self) -> AsyncIterator[bytes]:
        """One watcher's events; one that is slow misses some."""
        mine: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._watchers.add(mine)
        self._monitor.watch()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        try:
            yield b"retry: 2000\n\n"
            yield self._event()
            while True:
                yield await mine.get()
        finally:
            self._watchers.discard(mine)
            self._monitor.unwatch()

    def _event(self) -> bytes:
        return b"data: " + self._make() + b"\n\n"

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + PERIOD
        while self._watchers:
            await asyncio.sleep(max(due - loop.time(), 0))
            # Where the process stood still, what was missed is not made up for.
            due = max(due + PERIOD, loop.time())
            try:
                event = self._event()
            except Exception as error:  # noqa: BLE001 - the next one may succeed
                _guard.caught("page", error)
                continue
            for watcher in list(self._watchers):
                if watcher.full():
                    watcher.get_nowait()
                watcher.put_nowait(event)
