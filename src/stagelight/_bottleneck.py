"""Which stage limits a pipeline, told from a snapshot of it."""

from __future__ import annotations

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


def find_bottleneck(
    stages: Mapping[str, StageStats],
    queues: Mapping[str, QueueStats],
    passes: Mapping[str, set[str]],
    uptime: float,
) -> Bottleneck | None:
    """The stage that limits the pipeline.

    Where producers had to wait for room, it is the stage behind the full queue, unless
    that one waits for room further down longer than it works. Where nobody had to wait,
    it is the stage that its workers spend most of their time in.

    Args:
        stages: The stages of one pipeline by name.
        queues: Its queues by name.
        passes: Queue or pool to the queues whose events are passed on to it.
        uptime: Seconds since recording began.
    """
    limit = uptime * _BLOCKED_ENOUGH
    full = {
        name: queue.put_blocked
        for name, queue in queues.items()
        if queue.put_blocked > limit
    }

    def upstream(names: Iterable[str]) -> set[str]:
        found: set[str] = set()
        left = list(names)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += passes.get(name, ())
        return found

    behind = [
        (full[name], name, stage)
        for stage in stages.values()
        if not _hindered(_together(stage, stages))
        for name in full.keys() & upstream(stage.inputs)
    ]
    if behind:
        waited, name, stage = max(behind, key=lambda one: one[0])
        return _behind(stage, stages, name, waited)
    busiest = max(stages.values(), key=_share, default=None)
    if busiest is None or _share(busiest) < _BUSY_ENOUGH:
        return None
    seconds = busiest.worker_seconds
    evidence = (
        f"its workers were busy {seconds[_names.BUSY]:.2f} s, idle "
        f"{seconds[_names.IDLE]:.2f} s, blocked {seconds[_names.BLOCKED_STATE]:.2f} s"
    )
    return Bottleneck(busiest.name, _share(busiest), evidence)


def _share(stage: StageStats) -> float:
    return stage.utilization or 0.0


def _together(stage: StageStats, stages: Mapping[str, StageStats]) -> list[StageStats]:
    return [stage, *(stages[name] for name in stage.inner if name in stages)]


def _hindered(together: Iterable[StageStats]) -> bool:
    """Whether stages that run in one call wait for room longer than they work."""
    seconds = [stage.worker_seconds for stage in together]
    return sum(one[_names.BLOCKED_STATE] for one in seconds) > sum(
        one[_names.BUSY] for one in seconds
    )


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
