"""Which stage limits a pipeline, told from a snapshot of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from stagelight import _names
from stagelight._model import Bottleneck

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stagelight._model import QueueStats, StageStats

#: Below this share of busy time no stage is called the bottleneck.
_BUSY_ENOUGH: Final = 0.05
#: Share of the uptime that producers must have waited before a queue counts as full.
_BLOCKED_ENOUGH: Final = 0.05
#: Below this share of busy time a stage does not explain its full queue.
_MOSTLY: Final = 0.5
#: Events that must have waited in a queue on average before it counts as loaded.
_LOADED: Final = 1.0
#: Busy time beyond so many times the processor's, and the clock's, was spent waiting.
_CONTENDED: Final = 1.5


def find_bottleneck(
    stages: Mapping[str, StageStats],
    queues: Mapping[str, QueueStats],
    passes: Mapping[str, set[str]],
    uptime: float,
    computed: float = 0.0,
) -> Bottleneck | None:
    """The stage that limits the pipeline.

    Where producers had to wait for room, it is the stage behind the full queue, unless
    that one waits for room further down longer than it works. Where all threads share
    one busy interpreter, it is the stage with most work. Else it is the stage behind a
    queue that events wait in, or the one that its workers spend most of their time in.

    Args:
        stages: The stages of one pipeline by name.
        queues: Its queues and its pools' backlogs by name.
        passes: Queue or pool to the queues whose events are passed on to it.
        uptime: Seconds since recording began.
        computed: Processor seconds of the process since then.
    """
    limit = uptime * _BLOCKED_ENOUGH
    fed = [
        (name, stage)
        for stage in stages.values()
        if not _hindered(_together(stage, stages))
        for name in _upstream(stage.inputs, passes)
        if name in queues
    ]
    behind = [
        (queues[name].put_blocked, name, stage)
        for name, stage in fed
        if queues[name].put_blocked > limit
    ]
    if behind:
        waited, name, stage = max(behind, key=lambda one: one[0])
        return _behind(stage, stages, name, waited)
    total = sum(map(_busy, stages.values()))
    if _share_one_lock(total, computed, uptime):
        most = max(stages.values(), key=_busy)
        evidence = (
            f"{_busy(most):.2f} s of the {total:.2f} s that stages were busy, in "
            f"{computed:.2f} s of processor time: the threads wait for their turn in "
            "the one interpreter, so more processes help, more threads do not"
        )
        return Bottleneck(most.name, _share(most), evidence)
    busiest = max(stages.values(), key=_share, default=None)
    if busiest is None:
        return None
    loaded = [
        (_share(worst), _load(queues[name], uptime), name, worst)
        for name, stage in fed
        if _load(queues[name], uptime) >= _LOADED
        for worst in [max(_together(stage, stages), key=_share)]
    ]
    if loaded and _share(busiest) < max(_MOSTLY, *(one[0] for one in loaded)) + 1e-9:
        _, _, name, worst = max(loaded, key=lambda one: one[:2])
        return Bottleneck(worst.name, _share(worst), _waits(queues[name]))
    if _share(busiest) < _BUSY_ENOUGH:
        return None
    seconds = busiest.worker_seconds
    evidence = (
        f"its workers were busy {seconds[_names.BUSY]:.2f} s, idle "
        f"{seconds[_names.IDLE]:.2f} s, blocked {seconds[_names.BLOCKED_STATE]:.2f} s"
    )
    return Bottleneck(busiest.name, _share(busiest), evidence)


def _upstream(names: Iterable[str], passes: Mapping[str, set[str]]) -> set[str]:
    """Queues and pools that a stage's events come through, dispatchers included."""
    if not passes:
        return set(names)
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += passes.get(name, ())
    return found


def _share_one_lock(total: float, computed: float, uptime: float) -> bool:
    """Whether stages look busy that only wait for the interpreter."""
    locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    needed = _CONTENDED * max(computed, uptime)
    return locked and computed > uptime * _MOSTLY and total > needed


def _load(queue: QueueStats, uptime: float) -> float:
    """How many events waited on average (Little's law); those still there included."""
    waited = (queue.wait.mean or 0.0) * queue.wait.count
    waiting = (queue.size or 0) * queue.oldest_age / 2
    return (waited + waiting) / uptime if uptime else 0.0


def _waits(queue: QueueStats) -> str:
    still = f", {queue.size:,} still wait" if queue.size else ""
    mean = f"{queue.wait.mean or 0.0:.2f} s on average"
    return f"events waited {mean} in its queue {queue.name}{still}"


def _busy(stage: StageStats) -> float:
    return stage.worker_seconds[_names.BUSY]


def _share(stage: StageStats) -> float:
    return stage.utilization or 0.0


def _together(stage: StageStats, stages: Mapping[str, StageStats]) -> list[StageStats]:
    return [stage, *(stages[name] for name in stage.inner if name in stages)]


def _hindered(together: Iterable[StageStats]) -> bool:
    """Whether stages that run in one call wait for room longer than they work."""
    blocked = busy = 0.0
    for stage in together:
        blocked += stage.worker_seconds[_names.BLOCKED_STATE]
        busy += stage.worker_seconds[_names.BUSY]
    return blocked > busy


def _behind(
    stage: StageStats, stages: Mapping[str, StageStats], queue: str, waited: float
) -> Bottleneck:
    """A bottleneck behind a full queue: of the stages in one call, the busiest."""
    together = _together(stage, stages)
    worst = max(together, key=_share)
    share = sum(map(_share, together))
    evidence = f"producers waited {waited:.2f} s for room in its queue {queue}"
    if share < _MOSTLY:
        evidence += (
            f", yet it is busy only {share:.0%} of its time: look at what its worker "
            "does outside of the stage"
        )
    return Bottleneck(worst.name, _share(worst), evidence)
