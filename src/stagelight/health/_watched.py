"""One pipeline as the monitor knows it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from stagelight._cells import NANOSECONDS
from stagelight._snapshot import Past
from stagelight.health._facts import Progress
from stagelight.health._history import History

if TYPE_CHECKING:
    from stagelight._buffers import QueueRecord
    from stagelight._insight import Window
    from stagelight._records import StageReading
    from stagelight._sight import Sight
    from stagelight.health._machine import Machine

#: Seconds between two looks at the sizes of queues while somebody watches.
SAMPLE: Final = 0.25
#: Seconds that the window of a watched pipeline looks back.
WINDOW: Final = 10.0


class Watched:
    """One pipeline as the monitor knows it."""

    def __init__(self) -> None:
        self.sights: deque[Sight] = deque()
        self._sizes: deque[tuple[float, list[int | None]]] = deque()
        self._sized: list[str] = []
        self.progress = Progress()
        self.history = History()
        self.machines: dict[str | None, Machine] = {}
        #: What was seen last.
        self.fresh: tuple[Window, dict[str, StageReading]] | None = None

    def remember(self, sight: Sight, window: float) -> None:
        """Keep a look, and forget those that no window needs any more."""
        self.sights.append(sight)
        far = sight.at - round(window * NANOSECONDS)
        while len(self.sights) > 2 and self.sights[1].at <= far:  # noqa: PLR2004
            self.sights.popleft()

    def past(self) -> Past:
        """Where the window begins, and the mean sizes in it."""
        if len(self.sights) < 2:  # noqa: PLR2004
            return Past()
        return Past(self.sights[0], self._means())

    def _means(self) -> dict[str, float]:
        """Queue to its mean size, where enough sizes were seen."""
        if len(self._sizes) < WINDOW / SAMPLE / 2:
            return {}
        columns = zip(*(sizes for _, sizes in self._sizes), strict=True)
        return {
            name: sum(column) / len(column)
            for name, column in zip(self._sized, columns, strict=True)
            if None not in column
        }

    def note_sizes(self, now: float, queues: list[QueueRecord]) -> None:
        """Take the sizes of all queues into account, for as long as a window lasts.

        Args:
            now: Monotonic clock in seconds.
            queues: The queues.
        """
        names = [queue.name for queue in queues]
        if names != self._sized:
            self._sizes.clear()
            self._sized = names
        self._sizes.append((now, [queue.size() for queue in queues]))
        while now - self._sizes[0][0] > WINDOW:
            self._sizes.popleft()
