"""Sums over processes as the statistics that one process has of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagelight import _names
from stagelight._insight import read_insight
from stagelight._limiting import bottleneck_of
from stagelight._model import (
    PipelineStats,
    PoolStats,
    ProcessStats,
    QueueStats,
    Rates,
    StageStats,
)
from stagelight.fleet._reading import StageNumbers, distribution
from stagelight.health._report import (
    HealthReport,
    PipelineHealth,
    StageHealth,
    worst,
)

if TYPE_CHECKING:
    from stagelight._insight import Window
    from stagelight._insights import Insight
    from stagelight.fleet._prometheus import Point
    from stagelight.fleet._reading import PipelineNumbers, QueueNumbers


def pipeline_stats(
    name: str, numbers: PipelineNumbers, window: Window
) -> PipelineStats:
    """One pipeline of all processes together.

    Args:
        name: Its name.
        numbers: Its sums.
        window: What happened.
    """
    stages = {
        stage: _stage(stage, one, window) for stage, one in numbers.stages.items()
    }
    queues = {
        queue: _queue(queue, one, window) for queue, one in numbers.queues.items()
    }
    pools = {
        stage: PoolStats(
            name=stage,
            kind="thread",
            limit=one.limit,
            busy=one.count.get(_names.BUSY, 0),
            submitted=queues[stage].enqueued,
            completed=queues[stage].dequeued,
            backlog=queues.pop(stage),
        )
        for stage, one in numbers.stages.items()
        if one.limit and stage in queues
    }
    backlogs = {pool: one.backlog for pool, one in pools.items()}
    insight: Insight = read_insight(window, {})
    passes = window.later.passes
    return PipelineStats(
        name=name,
        stages={key: one for key, one in stages.items() if one.count or one.active},
        queues=queues,
        pools=pools,
        passes={key: sorted(one) for key, one in passes.items()},
        journeys=distribution(numbers.buckets, numbers.seconds).quantiles(),
        bottleneck=bottleneck_of(
            window,
            stages,
            queues | backlogs,
            {k: set(v) for k, v in passes.items()},
            0.0,
        ),
        insight=insight,
    )


def _stage(name: str, numbers: StageNumbers, window: Window) -> StageStats:
    seen, one = window.later.stages[name], window.stages[name]
    count = seen.count
    total = sum(numbers.time.values())
    return StageStats(
        name=name,
        count=count,
        outcomes={key: number for key, number in numbers.outcomes.items() if number},
        errors={key: number for key, number in numbers.errors.items() if number},
        error_rate=seen.errors / count if count else 0.0,
        produced=numbers.produced,
        dropped=dict(numbers.dropped),
        retries=numbers.retries,
        active=numbers.active,
        oldest_active=0.0,
        rates=Rates(one.rate, one.rate, one.rate),
        duration=seen.whole.quantiles(),
        workers=dict(numbers.count),
        worker_seconds={s: numbers.time.get(s, 0.0) for s in _names.WORKER_STATES},
        inputs=sorted(seen.inputs),
        outputs=sorted(seen.outputs),
        inner=sorted(seen.inner),
        utilization=numbers.time.get(_names.BUSY, 0.0) / total if total else None,
    )


def _queue(name: str, numbers: QueueNumbers, window: Window) -> QueueStats:
    seen = window.later.queues[name]
    return QueueStats(
        name=name,
        size=numbers.size,
        capacity=numbers.capacity,
        high_watermark=numbers.high,
        enqueued=numbers.enqueued,
        dequeued=seen.dequeued,
        refused=dict(numbers.refused),
        wait=seen.wait.quantiles(),
        oldest_age=numbers.oldest,
        put_blocked=numbers.blocked,
    )


def process_stats(points: list[Point], now: float) -> ProcessStats:
    """All processes as one.

    Args:
        points: Series of now.
        now: Wall clock.
    """
    memory = [one.value for one in points if "_memory_" in one.name]
    starts = [one.value for one in points if one.name == "process_start_time_seconds"]
    return ProcessStats(
        pid=0,
        uptime=max(now - min(starts), 0.0) if starts else 0.0,
        cpu_seconds=0.0,
        memory_rss=int(sum(memory)) if memory else None,
        telemetry_errors={},
        telemetry_dropped={},
    )


def health_report(numbers: dict[str, PipelineNumbers], now: float) -> HealthReport:
    """The worst of what the processes say of themselves.

    Args:
        numbers: The sums of each pipeline.
        now: Wall clock.
    """
    pipelines = {}
    for name, one in numbers.items():
        stages = {stage: _state(found, now) for stage, found in one.stages.items()}
        bad = worst(list(stages.values())) or _state(StageNumbers(), now)
        place = next((key for key, value in stages.items() if value is bad), "")
        reason = f"{place}: {bad.reason}" if bad.state != _names.HEALTHY else bad.reason
        pipelines[name] = PipelineHealth(bad.state, now, reason, stages)
    all_ = [
        StageHealth(p.state, p.since, p.reason, 0, 0, flapping=False)
        for p in pipelines.values()
    ]
    whole = worst(all_) or _state(StageNumbers(), now)
    return HealthReport(
        time=now,
        state=whole.state,
        since=now,
        reason=whole.reason,
        live="pass",
        ready="pass",
        startup="pass",
        pipelines=pipelines,
        items=(),
        history=(),
    )


def _state(numbers: StageNumbers, now: float) -> StageHealth:
    state = max(numbers.states, key=_names.STATES.index, default=_names.HEALTHY)
    told = "as its processes tell" if numbers.states else "no process tells of it"
    return StageHealth(state, now, told, 0.0, 0.0, flapping=False)
