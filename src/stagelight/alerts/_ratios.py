"""Ratios that have a name in the rule language, such as ``service(5m)``."""

from __future__ import annotations

from typing import Final

from stagelight.alerts._expressions import (
    Binary,
    Compare,
    Logic,
    Named,
    Number,
    Range,
    Select,
)
from stagelight.alerts._sources import SOURCES

#: Ratios of two counters over one window.
RATIOS: Final = {
    "service": ("stage.process.duration.sum", "stage.process.duration.count"),
    "retry_ratio": ("stage.retries", "stage.process.duration.count"),
    "failure_ratio": ("stage.failures", "stage.process.duration.count"),
}
BUSY: Final = "busy"
#: The same, once the process is older than the window.
USUAL: Final = "usual_"


def ratio(name: str, window: float) -> Named:
    """A named ratio over a window.

    Args:
        name: One of ``RATIOS``, or ``busy``.
        window: In seconds.
    """
    if name == BUSY:
        busy = _rate("worker.time.busy", window)
        # As many as there were in the window: workers may come and go within it.
        limit = Range("mean", Select(SOURCES["worker.limit"]), window)
        whole = Binary("else", limit, _rate("worker.time", window))
        return Named(name, window, Binary("/", busy, whole))
    if name.startswith(USUAL):
        # A window that is not full yet would be noise, kept as the best for a day.
        there = Compare(">=", ratio(name.removeprefix(USUAL), window), Number(0.0))
        young = Compare(
            "<", Select(SOURCES["process.uptime"]), Number(window, duration=True)
        )
        return Named(name, window, Logic("unless", there, young))
    part, total = RATIOS[name]
    return Named(name, window, Binary("/", _rate(part, window), _rate(total, window)))


def _rate(source: str, window: float) -> Range:
    return Range("rate", Select(SOURCES[source]), window)
