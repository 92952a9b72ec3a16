"""What a look at a pipeline says about the health of its stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stagelight._cells import NANOSECONDS
from stagelight.health._heartbeats import leased
from stagelight.health._machine import CALM, Facts, Sign

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stagelight._insight import Window
    from stagelight._insight._window import QueueWindow, StageWindow
    from stagelight._sight import QueueSight, StageSight
    from stagelight.health._limits import Limits

#: A stage whose workers spend more than this part waiting for room is a victim.
_VICTIM: Final = 0.5


@dataclass(slots=True)
class Progress:
    """When each stage and queue of a pipeline moved last, on the monotonic clock."""

    stages: dict[str, tuple[object, float]] = field(default_factory=dict)
    queues: dict[str, tuple[object, float]] = field(default_factory=dict)

    def note(self, window: Window, now: float) -> None:
        """Take one look into account.

        Args:
            window: What happened.
            now: Monotonic clock in seconds.
        """
        for name, stage in window.later.stages.items():
            _note(self.stages, name, (stage.count, stage.retries), now)
        for name, queue in window.later.queues.items():
            # Of a queue between processes only the size tells that another one fetched.
            left = queue.enqueued - (queue.size or 0)
            _note(self.queues, name, (queue.dequeued, left), now)


def _note(
    known: dict[str, tuple[object, float]], name: str, mark: object, now: float
) -> None:
    before = known.get(name)
    if before is None or before[0] != mark:
        known[name] = (mark, now)


def stage_facts(  # noqa: PLR0913, PLR0917 - all that is known
    pipeline: str,
    stage: StageWindow,
    window: Window,
    progress: Progress,
    limits: Limits,
    now: float,
) -> Facts:
    """What is known of one stage.

    Args:
        pipeline: Name of the pipeline.
        stage: The stage.
        window: What happened.
        progress: When it moved last.
        limits: The thresholds.
        now: Monotonic clock in seconds.
    """
    name = stage.sight.name
    victim = stage.blocked > _VICTIM
    inputs = [window.queues[one] for one in stage.sight.inputs if one in window.queues]
    stalled = stuck = None
    if not victim and not leased(pipeline, name):
        still = now - progress.stages.get(name, (None, now))[1]
        if max(still, stage.sight.oldest / NANOSECONDS) > limits.stall:
            limit = _patience(stage.sight, limits)
            stalled = _stalled(stage, inputs, still, limit)
            stuck = _stuck(stage, limit)
    overloaded, relieved = (None, True) if victim else _overload(inputs, limits)
    degraded, clear = _trouble(stage, limits)
    if clear and relieved and not (stalled or stuck or overloaded or degraded):
        return CALM
    return Facts(
        stalled=stalled,
        overloaded=overloaded,
        overload_clear=relieved,
        degraded=degraded,
        degraded_clear=clear and stuck is None,
        raised=stuck,
    )


def pipeline_facts(
    window: Window, progress: Progress, limits: Limits, now: float
) -> Facts:
    """What is known of queues that no stage was seen to fetch from.

    Args:
        window: What happened.
        progress: When they moved last.
        limits: The thresholds.
        now: Monotonic clock in seconds.
    """
    fed = {name for stage in window.later.stages.values() for name in stage.inputs}
    fed |= {name for sources in window.later.passes.values() for name in sources}
    orphans = [queue for name, queue in window.queues.items() if name not in fed]
    stalled = None
    for queue in orphans:
        sight = queue.sight
        still = now - progress.queues.get(sight.name, (None, now))[1]
        if sight.size and sight.enqueued and still > limits.stall:
            stalled = Sign(
                f"queue {sight.name} holds {sight.size:,} events and none was fetched "
                f"for {still:.0f} s, the limit is {limits.stall:g} s",
                still,
                limits.stall,
            )
    overloaded, relieved = _overload(orphans, limits)
    return Facts(stalled=stalled, overloaded=overloaded, overload_clear=relieved)


def _patience(stage: StageSight, limits: Limits) -> float:
    p99 = stage.whole.quantile(0.99) or 0.0
    return max(limits.stall, limits.stall_p99 * p99)


def _stalled(
    stage: StageWindow, inputs: Iterable[QueueWindow], still: float, limit: float
) -> Sign | None:
    waiting = sum(queue.sight.size or 0 for queue in inputs)
    active = stage.sight.active
    oldest = stage.sight.oldest / NANOSECONDS
    if still <= limit or not (waiting or active):
        return None
    if not waiting and oldest <= limit:
        return None  # it was idle, and has just begun
    what = f"{active:,} in flight, {waiting:,} waiting"
    return Sign(
        f"no progress for {still:.0f} s with {what}, the limit is {limit:.0f} s",
        still,
        limit,
    )


def _stuck(stage: StageWindow, limit: float) -> Sign | None:
    oldest = stage.sight.oldest / NANOSECONDS
    if not stage.sight.active or oldest <= limit:
        return None
    return Sign(
        f"a call runs for {oldest:.0f} s, the limit is {limit:.0f} s", oldest, limit
    )


def _overload(
    queues: Iterable[QueueWindow], limits: Limits
) -> tuple[Sign | None, bool]:
    """The worst sign of overload, and whether all are well below their limits."""
    worst: Sign | None = None
    clear = True
    for queue in queues:
        sight: QueueSight = queue.sight
        fill, blocked = queue.fill or 0.0, min(queue.blocked, 1.0)
        clear = clear and fill < limits.fill_leave and blocked < limits.blocked_leave
        if fill > limits.fill_enter:
            worst = Sign(
                f"queue {sight.name} is {fill:.0%} full, the limit is "
                f"{limits.fill_enter:.0%}",
                fill,
                limits.fill_enter,
            )
        elif blocked > limits.blocked_enter and worst is None:
            worst = Sign(
                f"producers wait {blocked:.0%} of the time for room in queue "
                f"{sight.name}, the limit is {limits.blocked_enter:.0%}",
                blocked,
                limits.blocked_enter,
            )
    return worst, clear


def _trouble(stage: StageWindow, limits: Limits) -> tuple[Sign | None, bool]:
    """Too many failures or retries, and whether both are well below their limits."""
    count = stage.duration.count
    if count < limits.least_calls:
        return None, True
    errors, retries = stage.errors / stage.rate, stage.retries / stage.rate
    clear = errors < limits.errors_leave and retries < limits.retries_leave
    if errors > limits.errors_enter:
        return Sign(
            f"{errors:.1%} of the calls fail, the limit is {limits.errors_enter:.1%}",
            errors,
            limits.errors_enter,
        ), clear
    if retries > limits.retries_enter:
        return Sign(
            f"{retries:.1%} of the attempts are repeated, the limit is "
            f"{limits.retries_enter:.1%}",
            retries,
            limits.retries_enter,
        ), clear
    return None, clear
