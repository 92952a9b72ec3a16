"""Small series on which each default rule fires, and some on which none may.

They are what the promtool tests are made of: each value is a function of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Curve = Callable[[float], float]

HOUR: Final = 3600.0
_RATE: Final = 10.0


def healthy() -> dict[str, Curve]:
    """A stage that does ten events a second at half of what it could do."""
    return {
        "process.uptime": lambda t: t,
        "process.memory.usage": lambda t: 4e8 + 5e7 * (t % 600) / 600,
        "process.memory.limit": lambda _: 1e9,
        "process.gc.pause.time": lambda t: 0.01 * t,
        "queue.size": lambda t: float(round(t / 15) % 5),
        "queue.capacity": lambda _: 1000.0,
        "queue.oldest.age": lambda t: float(round(t / 15) % 3),
        "stage.active": lambda _: 2.0,
        "stage.waiting": lambda t: float(round(t / 15) % 5),
        "stage.process.duration.count": lambda t: _RATE * t,
        "stage.process.duration.sum": lambda t: _RATE * t * 0.2,
        "stage.failures": lambda t: float(int(t / 900)),
        "stage.retries": lambda t: _RATE * t * 0.005,
        "worker.time.busy": lambda t: 2.0 * t,
        "worker.limit": lambda _: 4.0,
        "stage.inflight.age": lambda _: 0.3,
    }


def ramp(begin: float, slope: float, start: float = 0.0) -> Curve:
    """A value that rises from some time on.

    Args:
        begin: From when on, in seconds.
        slope: Growth in a second.
        start: The value before.
    """
    return lambda t: start + max(t - begin, 0.0) * slope


def _stopped(begin: float) -> Curve:
    return lambda t: _RATE * min(t, begin)


def _failing(begin: float, share: float) -> Curve:
    return lambda t: float(int(t / 900)) + max(t - begin, 0.0) * _RATE * share


_BEGIN: Final = 2.1 * HOUR
_BURST: Final = 200.0

#: Rule and severity -> what differs from the healthy stage, and how long it takes.
TRACES: Final[dict[tuple[str, str], tuple[dict[str, Curve], float]]] = {
    ("StageQueueFullSoon", "critical"): (
        {"queue.size": lambda t: min(ramp(_BEGIN, 0.3)(t), 1000.0)},
        3.2 * HOUR,
    ),
    ("StageStalled", "critical"): (
        {
            "stage.process.duration.count": _stopped(_BEGIN),
            "stage.waiting": ramp(_BEGIN, 1.0),
        },
        2.5 * HOUR,
    ),
    ("StageErrorBudgetBurn", "critical"): (
        {"stage.failures": _failing(_BEGIN, 0.3)},
        3.0 * HOUR,
    ),
    ("StageErrorBudgetBurn", "warning"): (
        {"stage.failures": lambda t: _RATE * t * 0.04},
        3.0 * HOUR,
    ),
    ("StageWorkerStuck", "warning"): (
        {"stage.inflight.age": ramp(_BEGIN, 1.0, 0.3)},
        2.4 * HOUR,
    ),
    ("StagePoison", "warning"): (
        {"stage.failures": _failing(_BEGIN, 0.02)},
        2.8 * HOUR,
    ),
    ("StageRetryBurn", "warning"): (
        {"stage.retries": lambda t: _RATE * t * 0.005 + ramp(_BEGIN, 1.0)(t)},
        2.8 * HOUR,
    ),
    ("StageServiceTimeDrift", "warning"): (
        {"stage.process.duration.sum": lambda t: _RATE * t * 0.2 + ramp(_BEGIN, 1)(t)},
        2.8 * HOUR,
    ),
    ("StageSaturated", "warning"): (
        {"worker.time.busy": lambda t: 2.0 * t + ramp(_BEGIN, 1.9)(t)},
        3.4 * HOUR,
    ),
    ("StageQueueFillingUp", "warning"): (
        {"queue.size": lambda t: min(ramp(_BEGIN, 0.2)(t), 1000.0)},
        3.2 * HOUR,
    ),
    ("StageBacklogNotDraining", "warning"): (
        {"queue.size": ramp(_BEGIN, 0.01)},
        3.6 * HOUR,
    ),
    ("ProcessMemoryFloorRising", "warning"): (
        {"process.memory.usage": ramp(_BEGIN, 5e4, 4.5e8)},
        4.0 * HOUR,
    ),
    ("ProcessRestartsOften", "warning"): (
        {"process.uptime": lambda t: t if t < _BEGIN else (t - _BEGIN) % 1200},
        3.6 * HOUR,
    ),
    ("ProcessGcPauseShare", "warning"): (
        {"process.gc.pause.time": lambda t: 0.01 * t + ramp(_BEGIN, 0.1)(t)},
        2.6 * HOUR,
    ),
}
#: What looks like trouble, and is none.
QUIET: Final[dict[str, tuple[dict[str, Curve], float]]] = {
    "all is well": ({}, 3.0 * HOUR),
    "a burst": (
        {
            "queue.size": lambda t: (
                600.0 if 0 <= t - _BEGIN < _BURST else float(t % 60 / 15)
            )
        },
        2.6 * HOUR,
    ),
    "a restart with work that waited": (
        {
            "process.uptime": lambda t: t if t < _BEGIN else t - _BEGIN,
            "queue.size": lambda t: 400.0 - (t - _BEGIN) / 3 if t >= _BEGIN else 1.0,
            "stage.process.duration.count": lambda t: (
                _RATE * (t if t < _BEGIN else t - _BEGIN)
            ),
        },
        2.35 * HOUR,
    ),
    "a larger queue": (
        {"queue.capacity": lambda t: 1000.0 if t < _BEGIN else 2000.0},
        2.6 * HOUR,
    ),
}
