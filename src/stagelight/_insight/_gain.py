"""What one more worker at the bottleneck would bring."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import ceil, inf
from typing import TYPE_CHECKING, Final

from stagelight import _names

if TYPE_CHECKING:
    from stagelight._insight._groups import Group
    from stagelight._insight._window import Window

INPUT: Final = "input"
GIL: Final = "gil"
LOOP: Final = "event loop"
#: Used less than this, and nobody held back, the workers wait for input.
_SATURATED: Final = 0.85
#: Above this many processors some code runs without the interpreter lock.
_ONE: Final = 1.05
#: Producers that waited for room less than this share of the time are not held back.
_WAITED: Final = 0.02


#: Below this part of it the time is spent outside of the stages, in who knows what.
_INSIDE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Gain:
    """Predicted growth of the throughput, and what limits it then."""

    share: float
    limit: str | None
    confidence: float


def predict(window: Window, stage: str) -> Gain | None:
    """What one more worker of a stage would bring.

    The throughput can grow until the next group of workers, the input, the interpreter
    lock or the event loop is fully used.

    Args:
        window: What happened.
        stage: Name of the bottleneck.

    Returns:
        None where nothing flowed.
    """
    mine = next((group for group in window.groups if stage in group.stages), None)
    if mine is None or not mine.used or not mine.workers:
        return None
    others = [group for group in window.groups if group is not mine and group.used]
    confidence = _confidence(mine, others)
    growth = _input_growth(window, mine)
    if growth <= 1:
        return Gain(0.0, INPUT, confidence)
    workers = max(mine.workers, 1.0)
    ceilings: list[tuple[float, str | None]] = [
        ((workers + 1) / workers / mine.used, None),
        (growth, INPUT),
        *((1 / group.used, _main(group, window)) for group in others),
        *_shared(window, mine),
    ]
    best, limit = min(ceilings, key=lambda one: one[0])
    return Gain(max(best - 1, 0.0), limit, confidence)


def most_used(window: Window, at_least: float) -> tuple[str, str] | None:
    """The stage whose workers have the least time left, and what shows it.

    Args:
        window: What happened.
        at_least: Share of their time that they must be used more than those of any
            other stage named so far.
    """
    inside = [one for one in window.groups if one.observed >= one.used * _INSIDE]
    worst = max(inside, key=lambda group: group.used, default=None)
    if worst is None or worst.used < at_least:
        return None
    rest = [group.used for group in window.groups if group is not worst]
    evidence = f"its {_workers(worst)} busy {worst.used:.0%} of the time"
    if rest:
        evidence += f", those of every other stage {max(rest):.0%} or less"
    return _main(worst, window), evidence


def used(window: Window, stage: str) -> float:
    """Share of their time that a stage's workers are neither idle nor blocked.

    Args:
        window: What happened.
        stage: Name of the stage.
    """
    return next((one.used for one in window.groups if stage in one.stages), 0.0)


def _workers(group: Group) -> str:
    number = round(group.workers)
    kind = "task" if group.task else "worker"
    return f"one {kind} is" if number <= 1 else f"{number} {kind}s are"


def _confidence(mine: Group, others: list[Group]) -> float:
    """How far the bottleneck's workers stand out from all others."""
    next_ = max((group.used for group in others), default=0.0)
    return min(max(0.5 + (mine.used - next_) / 2, 0.0), 1.0)


def _main(group: Group, window: Window) -> str:
    return max(group.stages, key=lambda name: window.stages[name].seconds[_names.BUSY])


def _input_growth(window: Window, mine: Group) -> float:
    """How far what comes in could grow: infinite where the source is an open tap."""
    held = sum(queue.blocked for queue in window.queues.values())
    stages = window.stages.values()
    charged = sum(stage.seconds[_names.BLOCKED_STATE] for stage in stages)
    outside = held - charged
    if outside > _WAITED:
        # Producers that are no stage: all that is known of them is how long they wait.
        free = 1 - outside / max(ceil(outside - _WAITED), 1)
        return 1 / max(free, _WAITED)
    if charged > _WAITED:
        return inf  # a stage is the source: it is one of the groups
    queues = [window.queues[name] for name in mine.inputs if name in window.queues]
    waiting = sum(queue.sight.size or 0 for queue in queues)
    if not queues or mine.used >= _SATURATED:
        if waiting > mine.workers or not queues:
            arrivals = sum(queue.arrivals for queue in queues)
            departures = sum(queue.departures for queue in queues)
            grows = arrivals > departures * _ONE and departures > 0
            return arrivals / departures if grows else inf
        return 1 / mine.used
    return 1.0


def _shared(window: Window, mine: Group) -> list[tuple[float, str | None]]:
    """What all workers share: the interpreter lock, and the loop that tasks run on."""
    found: list[tuple[float, str | None]] = []
    if window.cores:
        top = 1.0 if window.cores <= _ONE else float(os.cpu_count() or 1)
        found.append((max(top / window.cores, 1.0), GIL))
    if mine.task:
        on_loop = [
            sum(window.stages[name].seconds[_names.BUSY] for name in group.stages)
            for group in window.groups
            if group.task
        ]
        if sum(on_loop) > 0:
            found.append((max(1 / sum(on_loop), 1.0), LOOP))
    return found
