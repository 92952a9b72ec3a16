"""What the numbers of a pipeline mean: where it is slow, why, and what would help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagelight._insight._audit import audit
from stagelight._insight._gain import Gain, most_used, predict, used
from stagelight._insight._stacks import longest_calls, open_calls
from stagelight._insight._window import Window
from stagelight._insights import Insight, StageInsight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stagelight._insights import Longest

__all__ = [
    "Gain",
    "Window",
    "longest_calls",
    "most_used",
    "open_calls",
    "predict",
    "read_insight",
    "used",
]


def read_insight(
    window: Window,
    longest: Mapping[str, Longest],
    sizes: Mapping[str, float] | None = None,
) -> Insight:
    """The insight of one window.

    Args:
        window: What happened.
        longest: Stage to its longest-running call.
        sizes: Queue to the mean of the sizes that a watcher saw.
    """
    return Insight(
        window=window.seconds,
        stages={
            name: StageInsight(
                rate=stage.rate,
                errors=stage.errors,
                retries=stage.retries,
                duration=stage.quantiles,
                busy=stage.busy,
                idle=stage.idle,
                blocked=stage.blocked,
                workers=stage.workers,
                cpu=stage.cpu,
                capacity=stage.capacity,
                headroom=stage.headroom,
                together=stage.together,
                longest=longest.get(name),
            )
            for name, stage in window.stages.items()
        },
        queues={
            name: queue.insight((sizes or {}).get(name))
            for name, queue in window.queues.items()
        },
        cores=window.cores,
        audit=audit(window, sizes or {}),
    )
