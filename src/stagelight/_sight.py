"""One pipeline at one moment as raw numbers; two of them make a window.

All counts and times only ever grow, so that a difference is what happened between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING

from stagelight import _cpu
from stagelight._registry import REGISTRY
from stagelight._slices import Slices

if TYPE_CHECKING:
    from stagelight._buffers import PoolRecord, QueueRecord
    from stagelight._distribution import Distribution
    from stagelight._records import StageReading, StageRecord
    from stagelight._registry import PipelineRecord
    from stagelight._slots import Worker


@dataclass(slots=True)
class StageSight:
    """One stage; times in nanoseconds.

    Attributes:
        name: Its name.
        task: Whether its calls are coroutines, which overlap in one thread.
        whole: All its samples, whatever their outcome.
        count: Finished calls.
        errors: Those that failed.
        retries: Repeated attempts.
        active: Open calls.
        oldest: Age of the oldest of them.
        seconds: Worker state to time.
        inside: Time of all calls, open ones included, nested stages included.
        threads: How many threads run it now, or ran it last.
        inputs: Queues and pools it takes from.
        outputs: Queues and pools it hands on to.
        inner: Stages called inside it.
    """

    name: str
    task: bool
    whole: Distribution
    count: int
    errors: int
    retries: int
    active: int
    oldest: int
    seconds: dict[str, int]
    inside: int
    threads: int
    inputs: frozenset[str]
    outputs: frozenset[str]
    inner: frozenset[str]


@dataclass(slots=True)
class QueueSight:
    """One queue or backlog; times in nanoseconds."""

    name: str
    size: int | None
    capacity: int | None
    enqueued: int
    dequeued: int
    refused: int
    blocked: int
    wait: Distribution
    oldest_age: float


@dataclass(slots=True)
class WorkerSight:
    """One thread: what it spent in which stage, and on a processor."""

    cpu: int | None
    busy: dict[str, int]


@dataclass(slots=True)
class Sight:
    """One pipeline."""

    at: int
    stages: dict[str, StageSight]
    queues: dict[str, QueueSight]
    #: Pool -> its limit, where it has one.
    pools: dict[str, int]
    passes: dict[str, frozenset[str]]
    workers: dict[int, WorkerSight] = field(default_factory=dict)


def look(record: PipelineRecord) -> tuple[Sight, dict[str, StageReading]]:
    """Read one pipeline.

    Args:
        record: Its record.

    Returns:
        What was seen, and what was read of its stages: the same numbers.
    """
    with REGISTRY.lock:
        stages = list(record.stages.values())
        queues = list(record.queues.values())
        pools: list[PoolRecord] = list(record.pools.values())
        passes = {name: frozenset(one) for name, one in record.passes.items()}
    workers: dict[int, WorkerSight] = {}
    backlogs = [pool.backlog for pool in pools]
    observed: dict[Worker, int] = {}
    slices = Slices()
    readings = {one.name: one.read(observed) for one in slices.over(stages)}
    sight = Sight(
        at=clock(),
        stages={
            one.name: see_stage(one, readings[one.name], workers)
            for one in slices.over(stages)
        },
        queues={one.name: see_queue(one) for one in (*queues, *backlogs)},
        pools={pool.name: pool.limit for pool in pools},
        passes=passes,
        workers=workers,
    )
    return sight, readings


def see_stage(
    record: StageRecord, reading: StageReading, workers: dict[int, WorkerSight]
) -> StageSight:
    """One stage.

    Args:
        record: Its record.
        reading: What was read of it.
        workers: Where its threads are noted.
    """
    totals = reading.totals
    whole = totals.whole() if totals.failures else totals
    task = record.by_tasks
    now = clock()
    inside = whole.sum
    threads = 0
    with record.lock:
        for slot in record.slots:
            if opened := slot.opened:
                inside += sum([now - at for at in opened])
            worker = slot.worker
            current = worker.slot is slot
            threads += current
            begun = slot.since
            own = max(now - begun - worker.away, 0) if begun and current else 0
            seen = workers.get(id(worker))
            if seen is None:
                seen = workers[id(worker)] = WorkerSight(_cpu.spent(worker), {})
            seen.busy[record.name] = slot.busy + own
    for since, within in list(record.held.values()) if record.held else ():
        if within:
            inside -= max(now - since, 0)
    inputs, outputs, inner = record.joined()
    return StageSight(
        name=record.name,
        task=task,
        whole=whole,
        count=whole.count,
        errors=totals.errors,
        retries=totals.retries,
        active=reading.active,
        oldest=reading.oldest,
        seconds=reading.seconds,
        inside=inside,
        threads=threads,
        inputs=inputs,
        outputs=outputs,
        inner=inner,
    )


def see_queue(record: QueueRecord) -> QueueSight:
    """One queue.

    Args:
        record: Its record.
    """
    with record.lock:
        wait = record.wait.settled()
    return QueueSight(
        name=record.name,
        size=record.size(),
        capacity=record.capacity(),
        enqueued=record.enqueued,
        dequeued=record.dequeued,
        refused=sum(list(record.refused.values())) if record.refused else 0,
        blocked=record.blocked_time(),
        wait=wait,
        oldest_age=record.oldest_age(),
    )
