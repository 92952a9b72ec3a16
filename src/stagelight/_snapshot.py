"""The state of this process as one frozen document, read from the slots."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from dataclasses import asdict, dataclass, field
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard, _names
from stagelight._cells import NANOSECONDS
from stagelight._cost import telemetry_cost
from stagelight._insight import (
    Window,
    longest_calls,
    read_insight,
)
from stagelight._limiting import bottleneck_of
from stagelight._model import (
    PipelineStats,
    PoolStats,
    ProcessStats,
    QueueStats,
    Rates,
    Snapshot,
    StageStats,
)
from stagelight._registry import LATE, REGISTRY, PipelineRecord
from stagelight._sight import look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from stagelight._buffers import PoolRecord, QueueRecord
    from stagelight._distribution import Distribution
    from stagelight._insights import TelemetryCost
    from stagelight._records import StageReading, StageRecord
    from stagelight._sight import QueueSight, Sight

#: Version of the document's shape.
DOCUMENT: Final = 2
_WINDOWS: Final = (1, 10, 60)


class _Reader:
    """Stands for ``stats()`` among the readers of a peak."""


_STATS: Final = _Reader()
#: A page that looks each second must not take peaks from the program's own reading.
_PAGE: Final = _Reader()


@dataclass(frozen=True, slots=True)
class Past:
    """What a watcher knows of a pipeline's last seconds.

    Attributes:
        sight: Where the window of ``stats()`` begins; None for the beginning.
        sizes: Queue to the mean of the sizes seen.
        fresh: What it has just seen, where that will do instead of another look.
    """

    sight: Sight | None = None
    sizes: dict[str, float] = field(default_factory=dict)
    fresh: tuple[Window, dict[str, StageReading]] | None = None


#: This process as psutil has it: to make one costs ten times as much as to ask it.
_SELF: Final[dict[int, Any]] = {}
#: The watcher's memory, by name of the pipeline, where there is a watcher.
PAST: Final[list[Callable[[str], Past]]] = []


def snapshot(past: Callable[[str], Past] | None = None) -> Snapshot:
    """Frozen state of every pipeline of this process.

    Args:
        past: The memory of a watcher; by default of the one that is there.
    """
    with REGISTRY.lock:
        records = list(REGISTRY.pipelines.values())
    return Snapshot(
        version=DOCUMENT,
        time=time.time(),
        process=process_stats(),
        pipelines={
            record.name: read_pipeline(record, past(record.name) if past else None)
            for record in records
        },
    )


def pipeline_document(record: PipelineRecord) -> dict[str, Any]:
    """One pipeline as a plain document, with the process beside it."""
    pipeline = asdict(read_pipeline(record))
    return {
        "version": DOCUMENT,
        "time": time.time(),
        "pipeline": pipeline.pop("name"),
        "process": asdict(process_stats()),
        **pipeline,
    }


def read_pipeline(record: PipelineRecord, past: Past | None = None) -> PipelineStats:
    """Frozen state of one pipeline.

    Args:
        record: Its record.
        past: What a watcher knows of it; by default what the one that is there knows.
    """
    with REGISTRY.lock:
        stages = list(record.stages.values())
        queues = list(record.queues.values())
        pools = list(record.pools.values())
    if past is None:
        past = PAST[0](record.name) if PAST else Past()
    if past.fresh is not None:
        window, readings = past.fresh
    else:
        sight, readings = look(record)
        window = Window(sight, past.sight, REGISTRY.started)
    read = {
        stage.name: _stage(
            stage, readings[stage.name], window.later.stages[stage.name].whole
        )
        for stage in stages
        if stage.name in readings
    }
    seen = window.later.queues
    reader = _STATS if past.fresh is None else _PAGE
    waiting = {
        queue.name: _queue(queue, seen[queue.name], reader)
        for queue in queues
        if queue.name in seen
    }
    executors = {
        pool.name: _pool(pool, seen[pool.name], reader)
        for pool in pools
        if pool.name in seen
    }
    return PipelineStats(
        name=record.name,
        stages=read,
        queues=waiting,
        pools=executors,
        passes={name: sorted(one) for name, one in window.later.passes.items()},
        journeys=record.journeys.whole().quantiles(),
        bottleneck=bottleneck_of(
            window,
            read,
            waiting | {pool.name: pool.backlog for pool in executors.values()},
            record.passes,
            _computed(),
        ),
        insight=read_insight(window, longest_calls(stages), past.sizes),
    )


def process_stats(
    cost: Callable[[], TelemetryCost] = telemetry_cost,
) -> ProcessStats:
    """Frozen state of this process, its pipelines apart.

    Args:
        cost: Tells what recording costs.
    """
    _guard.speak()
    return ProcessStats(
        pid=os.getpid(),
        uptime=_uptime(),
        cpu_seconds=_computed(),
        memory_rss=memory(),
        telemetry_errors=dict(_guard.ERRORS),
        telemetry_dropped=dict(_guard.LOST),
        telemetry_cost=cost(),
    )


def _uptime() -> float:
    return (clock() - REGISTRY.started) / NANOSECONDS


def _computed() -> float:
    return time.process_time() - REGISTRY.computed


def memory() -> int | None:
    """Resident memory of this process in bytes, None where it cannot be told."""
    try:
        pid = os.getpid()
        if pid not in _SELF:
            with LATE:
                import psutil

            _SELF.clear()  # a parent's, in a forked child
            _SELF[pid] = psutil.Process()
        return int(_SELF[pid].memory_info().rss)
    except Exception:  # noqa: BLE001 - a broken psutil must not break stats()
        return None


def _stage(
    record: StageRecord, reading: StageReading, whole: Distribution
) -> StageStats:
    totals = reading.totals
    extra = totals.extra
    outcomes = totals.outcomes()
    errors = totals.error_types()
    count = sum(outcomes.values())
    seconds = {state: ns / NANOSECONDS for state, ns in reading.seconds.items()}
    # Shares of the workers' whole time: idle time counts at the outermost stage only,
    # and what a worker did outside of all stages, or since it ended, is time too.
    worked = reading.seconds[_names.BUSY]
    others = sum(reading.seconds.values()) - worked
    if record.by_tasks:
        # A task that waits inside of a call works on it, and leaves the loop alone.
        worked = max(worked, whole.sum)
    attended = max(reading.attended, worked + others, reading.lasting)
    return StageStats(
        name=record.name,
        count=count,
        outcomes=outcomes,
        errors=errors,
        error_rate=sum(errors.values()) / count if count else 0.0,
        produced=reading.produced,
        dropped=totals.dropped(),
        retries=totals.retries,
        active=reading.active,
        oldest_active=reading.oldest / NANOSECONDS,
        rates=rates(record.recent(), clock()),
        duration=whole.quantiles(),
        workers=reading.workers,
        worker_seconds=seconds,
        inputs=sorted(record.inputs),
        outputs=sorted(record.outputs),
        inner=sorted(record.inner),
        utilization=worked / attended if attended else None,
        cpu_seconds=None if extra is None else extra.cpu / NANOSECONDS,
        cpu_calls=0 if extra is None else extra.calls,
        batch_size=extra.sizes.quantiles() if extra and extra.sizes.count else None,
    )


def rates(parts: Iterable[tuple[Sequence[int], Sequence[int]]], now: int) -> Rates:
    """Finished calls per second over the last 1, 10 and 60 seconds.

    Counts are kept by whole seconds; of the oldest second, the share inside the window
    is taken.

    Args:
        parts: Seconds on the monotonic clock, ascending, and what finished in each.
        now: The monotonic clock in nanoseconds.
    """
    second, fraction = divmod(now, NANOSECONDS)
    rest = 1 - fraction / NANOSECONDS
    found = [0.0] * len(_WINDOWS)
    for seconds, finished in parts:
        end = bisect_right(seconds, second)
        for place, window in enumerate(_WINDOWS):
            first = bisect_right(seconds, second - window)
            found[place] += sum(finished[first:end])
            if first and seconds[first - 1] == second - window:
                found[place] += finished[first - 1] * rest
    return Rates(*(sum_ / w for sum_, w in zip(found, _WINDOWS, strict=True)))


def _queue(record: QueueRecord, seen: QueueSight, reader: _Reader) -> QueueStats:
    return QueueStats(
        name=record.name,
        size=seen.size,
        capacity=seen.capacity,
        high_watermark=record.peak.read(reader, seen.size or 0),
        enqueued=seen.enqueued,
        dequeued=seen.dequeued,
        refused=dict(record.refused),
        wait=seen.wait.quantiles(),
        oldest_age=seen.oldest_age,
        put_blocked=seen.blocked / NANOSECONDS,
    )


def _pool(record: PoolRecord, seen: QueueSight, reader: _Reader) -> PoolStats:
    return PoolStats(
        name=record.name,
        kind=record.kind,
        limit=record.limit,
        busy=record.busy(),
        submitted=record.submitted,
        completed=record.completed,
        backlog=_queue(record.backlog, seen, reader),
    )
