"""One pipeline as the monitor knows it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from stagelight._cells import NANOSECONDS
from stagelight._snapshot import Past
from stagelight.health._facts import Progress
from stagelight.health._history import History

if TYPE_CHECKING:
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
        self.sizes: deque[tuple[float, dict[str, int]]] = deque()
        self.progress = Progress()
        self.history = History()
        self.machines: dict[str | None, Machine] = {}

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
        sums: dict[str, list[int]] = {}
        for _, sizes in list(self.sizes):
            for name, size in sizes.items():
                sums.setdefault(name, []).append(size)
        enough = WINDOW / SAMPLE / 2
        means = {k: sum(v) / len(v) for k, v in sums.items() if len(v) >= enough}
        return Past(self.sights[0], means)
