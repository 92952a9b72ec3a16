"""Which stages do what they seldom did: for the page, and never an alert."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from stagelight._cells import NANOSECONDS
from stagelight.alerts._anomaly import NOTABLE, Detector

if TYPE_CHECKING:
    from stagelight._metrics._look import Look

#: Seconds that one value of a series is about.
EVERY: Final = 300.0
#: Hints that are kept, and for how many seconds.
_KEPT: Final = 20
_FOR: Final = 86_400.0

_Key = tuple[str, str]


class Hints:
    """Looks at each stage's throughput and service time every five minutes.

    A stage is known after a day: before, no time of the day has anything usual.
    """

    def __init__(self) -> None:
        self._due = 0.0
        self._before: dict[_Key, tuple[float, int, int]] = {}
        self._detectors: dict[tuple[str, str, str], Detector] = {}
        self._found: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def update(self, now: float, look: Look) -> None:
        """Take what there is, if it is time.

        Args:
            now: Seconds since the epoch.
            look: The records.
        """
        if now < self._due:
            return
        self._due = now + EVERY
        there = set()
        for stage, reading in look.stages:
            totals = reading.totals
            parts = [totals, *totals.failures.values()]
            key = (stage.pipeline.name, stage.name)
            there.add(key)
            count = sum(part.count for part in parts)
            spent = sum(part.sum for part in parts)
            self._take(now, key, count, spent)
        for gone in [key for key in self._before if key not in there]:
            del self._before[gone]
            for what in ("throughput", "service time"):
                self._detectors.pop((*gone, what), None)

    def _take(self, now: float, key: _Key, count: int, spent: int) -> None:
        before = self._before.get(key)
        self._before[key] = now, count, spent
        if before is None or count < before[1] or now <= before[0]:
            return
        calls = count - before[1]
        self._look(now, key, "throughput", calls / (now - before[0]))
        if calls:
            service = (spent - before[2]) / calls / NANOSECONDS
            self._look(now, key, "service time", service)

    def _look(self, now: float, key: _Key, what: str, value: float) -> None:
        detector = self._detectors.setdefault((*key, what), Detector())
        score = detector.update(now, value)
        if score > NOTABLE:
            self._found.append(
                {
                    "pipeline": key[0],
                    "stage": key[1],
                    "what": what,
                    "value": value,
                    "score": round(score, 3),
                    "time": now,
                }
            )

    def documents(self) -> list[dict[str, Any]]:
        """The hints of the last day, the latest first, as plain data.

        Throughput is in calls per second, service time in seconds; the score is from
        0, as always, to 1.
        """
        latest = max(self._due - EVERY, 0.0)
        return [one for one in reversed(self._found) if one["time"] > latest - _FOR]
