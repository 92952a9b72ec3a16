"""Server-sent events: the document once a second, made once for all who watch.

Of very large pipelines less often: to be watched must not cost more than a hundredth
of a processor.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from stagelight import _guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

#: Seconds between two documents, at least and at most: what one costs decides.
PERIOD: Final = 1.0
_LONGEST: Final = 5.0
#: Share of a processor that all documents together may take.
_BUDGET: Final = 0.01
#: Pages that are open at once.
MOST: Final = 32


class Stream:
    """Sends the document to all who watch.

    Args:
        make: Makes what is shown of an instance ("" for all) as JSON.
        watch: Told that one more watches.
        unwatch: Told that one looks away.
    """

    def __init__(
        self,
        make: Callable[[str], bytes],
        watch: Callable[[], None],
        unwatch: Callable[[], None],
    ) -> None:
        self._make = make
        self._watch, self._unwatch = watch, unwatch
        #: Watcher -> the instance that it looks at.
        self._watchers: dict[asyncio.Queue[bytes], str] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether as many watch as may."""
        return len(self._watchers) >= MOST

    async def events(self, instance: str) -> AsyncIterator[bytes]:
        """One watcher's events; one that is slow misses some.

        Args:
            instance: Whose numbers, "" for all.
        """
        mine: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._watchers[mine] = instance
        self._watch()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        try:
            yield b"retry: 2000\n\n"
            yield self._event(instance)
            while True:
                yield await mine.get()
        finally:
            del self._watchers[mine]
            self._unwatch()

    def _event(self, instance: str) -> bytes:
        return b"data: " + self._make(instance) + b"\n\n"

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        period, due = PERIOD, loop.time() + PERIOD
        while self._watchers:
            await asyncio.sleep(max(due - loop.time(), 0))
            # Where the process stood still, what was missed is not made up for.
            due = max(due + period, loop.time())
            before = time.thread_time()
            try:
                events = {one: self._event(one) for one in {*self._watchers.values()}}
            except Exception as error:  # noqa: BLE001 - the next one may succeed
                _guard.caught("page", error)
                continue
            for watcher, instance in list(self._watchers.items()):
                if watcher.full():
                    watcher.get_nowait()
                watcher.put_nowait(events[instance])
            cost = (time.thread_time() - before) / _BUDGET
            period = min(max((3 * period + cost) / 4, PERIOD), _LONGEST)
