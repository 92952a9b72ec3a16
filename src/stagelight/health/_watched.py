"""One pipeline as the monitor knows it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from stagelight._cells import NANOSECONDS
from stagelight._snapshot import Past
from stagelight.health._facts import Progress
from stagelight.health._history import History

if TYPE_CHECKING:
    from stagelight._insight import Window
    from stagelight._records import StageReading
    from stagelight._sight import Sight
    from stagelight.health._machine import Machine

#: Seconds between two looks at the sizes of queues while somebody watches.
SAMPLE: Final = 0.1
#: Seconds that the window of a watched pipeline looks back.
WINDOW: Final = 10.0


class Watched:
    """One pipeline as the monitor knows it."""

    def __init__(self) -> None:
        self.sights: deque[Sight] = deque()
        self._sizes: deque[tuple[float, dict[str, int]]] = deque()
        self._sums: dict[str, tuple[int, int]] = {}
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
        enough = WINDOW / SAMPLE / 2
        means = {k: sum_ / n for k, (sum_, n) in self._sums.items() if n >= enough}
        return Past(self.sights[0], means)

    def note_sizes(self, now: float, sizes: dict[str, int]) -> None:
        """Take the sizes of all queues into account, for as long as a window lasts.

        Args:
            now: Monotonic clock in seconds.
            sizes: Queue to its size.
        """
        self._sizes.append((now, sizes))
        for name, size in sizes.items():
            sum_, number = self._sums.get(name, (0, 0))
            self._sums[name] = (sum_ + size, number + 1)
        while self._sizes and now - self._sizes[0][0] > WINDOW:
            for name, size in self._sizes.popleft()[1].items():
                sum_, number = self._sums[name]
                self._sums[name] = (sum_ - size, number - 1)
