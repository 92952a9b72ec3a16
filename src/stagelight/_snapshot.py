"""The state of this process as one frozen document, read from the slots."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard, _names
from stagelight._bottleneck import find_bottleneck
from stagelight._cells import NANOSECONDS
from stagelight._distribution import Distribution
from stagelight._model import (
    PipelineStats,
    PoolStats,
    ProcessStats,
    Quantiles,
    QueueStats,
    Rates,
    Snapshot,
    StageStats,
)
from stagelight._registry import LATE, REGISTRY, PipelineRecord

if TYPE_CHECKING:
    from stagelight._buffers import PoolRecord, QueueRecord
    from stagelight._records import StageReading, StageRecord
    from stagelight._totals import Totals

#: Version of the document's shape.
DOCUMENT: Final = 1
_WINDOWS: Final = (1, 10, 60)


class _Reader:
    """Stands for ``stats()`` among the readers of a peak."""


_STATS: Final = _Reader()


def snapshot() -> Snapshot:
    """Frozen state of every pipeline of this process."""
    with REGISTRY.lock:
        records = list(REGISTRY.pipelines.values())
    return Snapshot(
        version=DOCUMENT,
        time=time.time(),
        process=_process(),
        pipelines={record.name: read_pipeline(record) for record in records},
    )


def pipeline_document(record: PipelineRecord) -> dict[str, Any]:
    """One pipeline as a plain document, with the process beside it."""
    pipeline = asdict(read_pipeline(record))
    return {
        "version": DOCUMENT,
        "time": time.time(),
        "pipeline": pipeline.pop("name"),
        "process": asdict(_process()),
        **pipeline,
    }


def read_pipeline(record: PipelineRecord) -> PipelineStats:
    """Frozen state of one pipeline."""
    with REGISTRY.lock:
        stages = list(record.stages.values())
        queues = list(record.queues.values())
        pools = list(record.pools.values())
    read = {stage.name: _stage(stage) for stage in stages}
    waiting = {queue.name: _queue(queue) for queue in queues}
    executors = {pool.name: _pool(pool) for pool in pools}
    journeys = record.journeys.totals()
    whole = Distribution()
    for part in (journeys, *journeys.failures.values()):
        whole.merge(part)
    return PipelineStats(
        name=record.name,
        stages=read,
        queues=waiting,
        pools=executors,
        journeys=_quantiles(whole),
        bottleneck=find_bottleneck(
            read,
            waiting | {pool.name: pool.backlog for pool in executors.values()},
            record.passes,
            _uptime(),
            _computed(),
        ),
    )


def _process() -> ProcessStats:
    return ProcessStats(
        pid=os.getpid(),
        uptime=_uptime(),
        cpu_seconds=_computed(),
        memory_rss=memory(),
        telemetry_errors=dict(_guard.ERRORS),
        telemetry_dropped=dict(_guard.LOST),
    )


def _uptime() -> float:
    return (clock() - REGISTRY.started) / NANOSECONDS


def _computed() -> float:
    return time.process_time() - REGISTRY.computed


def memory() -> int | None:
    """Resident memory of this process in bytes, None where it cannot be told."""
    try:
        with LATE:
            import psutil

        return int(psutil.Process().memory_info().rss)
    except Exception:  # noqa: BLE001 - a broken psutil must not break stats()
        return None


def _stage(record: StageRecord) -> StageStats:
    reading: StageReading = record.read()
    totals = reading.totals
    outcomes = totals.outcomes()
    errors: dict[str, int] = {}
    whole = Distribution()
    whole.merge(totals)
    for (outcome, error_type), part in totals.failures.items():
        whole.merge(part)
        if outcome in _names.ERRORS:
            errors[error_type] = errors.get(error_type, 0) + part.count
    count = sum(outcomes.values())
    dropped: dict[str, int] = {}
    for (reason, _), number in totals.drops.items():
        dropped[reason] = dropped.get(reason, 0) + number
    seconds = {state: ns / NANOSECONDS for state, ns in reading.seconds.items()}
    # Shares of the workers' whole time: idle time counts at the outermost stage only,
    # and what a worker did outside of all stages, or since it ended, is time too.
    attended = max(reading.attended, sum(reading.seconds.values()), reading.lasting)
    return StageStats(
        name=record.name,
        count=count,
        outcomes=outcomes,
        errors=errors,
        error_rate=sum(errors.values()) / count if count else 0.0,
        produced=reading.produced,
        dropped=dropped,
        retries=totals.retries,
        active=reading.active,
        oldest_active=reading.oldest / NANOSECONDS,
        rates=rates(totals, clock()),
        duration=_quantiles(whole),
        workers=reading.workers,
        worker_seconds=seconds,
        inputs=sorted(record.inputs),
        outputs=sorted(record.outputs),
        inner=sorted(record.inner),
        utilization=(reading.seconds[_names.BUSY] / attended if attended else None),
    )


def rates(totals: Totals, now: int) -> Rates:
    """Finished calls per second over the last 1, 10 and 60 seconds.

    Counts are kept by whole seconds; of the oldest second, the share inside the window
    is taken.

    Args:
        totals: What was counted.
        now: The monotonic clock in nanoseconds.
    """
    second, fraction = divmod(now, NANOSECONDS)
    share = fraction / NANOSECONDS
    results = []
    for window in _WINDOWS:
        whole = sum(
            totals.history.get(second - back, (0, 0))[0] for back in range(window)
        )
        oldest = totals.history.get(second - window, (0, 0))[0]
        results.append((whole + oldest * (1 - share)) / window)
    return Rates(*results)


def _quantiles(part: Distribution) -> Quantiles:
    count = part.count
    return Quantiles(
        count=count,
        mean=part.sum / count / NANOSECONDS if count else None,
        p50=part.quantile(0.5),
        p95=part.quantile(0.95),
        p99=part.quantile(0.99),
        max=part.max / NANOSECONDS if count else None,
    )


def _queue(record: QueueRecord) -> QueueStats:
    size = record.size()
    return QueueStats(
        name=record.name,
        size=size,
        capacity=record.capacity(),
        high_watermark=record.peak.read(_STATS, size or 0),
        enqueued=record.enqueued,
        dequeued=record.dequeued,
        refused=dict(record.refused),
        wait=_quantiles(record.wait),
        oldest_age=record.oldest_age(),
        put_blocked=record.blocked_time() / NANOSECONDS,
    )


def _pool(record: PoolRecord) -> PoolStats:
    return PoolStats(
        name=record.name,
        kind=record.kind,
        limit=record.limit,
        busy=record.busy(),
        submitted=record.submitted,
        completed=record.completed,
        backlog=_queue(record.backlog),
    )
