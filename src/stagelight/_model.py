"""Frozen data that crosses layers: the state of one process at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stagelight._insights import Insight, TelemetryCost


@dataclass(frozen=True, slots=True)
class Rates:
    """Events per second over the last 1, 10 and 60 seconds."""

    s1: float
    s10: float
    s60: float


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A latency distribution in seconds; None where nothing was recorded."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class StageStats:
    """State of one stage.

    Attributes:
        name: Name of the stage.
        count: Finished calls (for a generator: items), whatever their outcome.
        outcomes: Outcome to number of calls.
        errors: ``error.type`` to number of calls.
        error_rate: Share of calls that failed, were refused or timed out.
        produced: Events returned or yielded.
        dropped: Reason to number of events.
        retries: Repeated attempts.
        active: Events inside the stage now.
        oldest_active: Seconds since the oldest of them began.
        rates: Finished calls per second.
        duration: Service time, net of time blocked in a downstream put.
        workers: Worker state to number of workers now.
        worker_seconds: Worker state to seconds, open intervals included.
        inputs: Queues and pools that it takes events from.
        outputs: Queues and pools that it hands events on to.
        inner: Stages that are called inside it.
        utilization: Share of its workers' time since its first call that the stage was
            busy, nested stages apart, inside of a call where tasks run it; None before
            any.
        cpu_seconds: Processor time of its calls, nested stages apart; None where the
            level detailed never measured it.
        cpu_calls: Calls that it was measured for.
        batch_size: Events in one call, where such calls took a list or set of them.
    """

    name: str
    count: int
    outcomes: dict[str, int]
    errors: dict[str, int]
    error_rate: float
    produced: int
    dropped: dict[str, int]
    retries: int
    active: int
    oldest_active: float
    rates: Rates
    duration: Quantiles
    workers: dict[str, int]
    worker_seconds: dict[str, float]
    inputs: list[str]
    outputs: list[str]
    inner: list[str]
    utilization: float | None
    cpu_seconds: float | None = None
    cpu_calls: int = 0
    batch_size: Quantiles | None = None


@dataclass(frozen=True, slots=True)
class QueueStats:
    """State of one queue, or of a pool's backlog.

    Attributes:
        name: Name of the queue.
        size: Events in it now; None where the platform cannot tell.
        capacity: Its bound, or None without one.
        high_watermark: Largest size since the last ``stats()``.
        enqueued: Events put in.
        dequeued: Events fetched.
        refused: Reason to number of refused puts.
        wait: Time events spent in it.
        oldest_age: Age in seconds of its oldest event, 0 where it is empty.
        put_blocked: Seconds that producers waited for room.
    """

    name: str
    size: int | None
    capacity: int | None
    high_watermark: int
    enqueued: int
    dequeued: int
    refused: dict[str, int]
    wait: Quantiles
    oldest_age: float
    put_blocked: float


@dataclass(frozen=True, slots=True)
class PoolStats:
    """State of one executor; its backlog is the queue of the same name.

    Attributes:
        name: Name of the pool.
        kind: ``thread`` or ``process``.
        limit: Workers it may run.
        busy: Tasks running now.
        submitted: Tasks handed in.
        completed: Tasks ended.
        backlog: Its waiting tasks, as a queue.
    """

    name: str
    kind: str
    limit: int
    busy: int
    submitted: int
    completed: int
    backlog: QueueStats


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The stage that limits the pipeline, and why we think so.

    Attributes:
        stage: Name of the stage.
        utilization: Share of its workers' observed time that it was busy.
        evidence: What shows it, in words.
        gain: Predicted growth of the throughput by one more worker there (0.5 is half
            as much again); None where nothing can be told.
        limit: What would limit the throughput then: another stage, ``input``, ``gil``.
        confidence: From 0 to 1: how far it stands out from the next one.
    """

    stage: str
    utilization: float
    evidence: str
    gain: float | None = None
    limit: str | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class PipelineStats:
    """State of one pipeline.

    Attributes:
        name: Name of the pipeline.
        stages: Name to stage.
        queues: Name to queue.
        pools: Name to pool.
        passes: Queue or pool to the queues whose events are passed on to it, by no
            stage.
        journeys: Time from an event's entry to its last stage's end.
        bottleneck: The stage that limits it, over the insight's window.
        insight: What the numbers mean.
    """

    name: str
    stages: dict[str, StageStats]
    queues: dict[str, QueueStats]
    pools: dict[str, PoolStats]
    passes: dict[str, list[str]]
    journeys: Quantiles
    bottleneck: Bottleneck | None
    insight: Insight


@dataclass(frozen=True, slots=True)
class ProcessStats:
    """State of this process.

    Attributes:
        pid: Its number.
        uptime: Seconds since it began to record.
        cpu_seconds: Processor time that it took since then.
        memory_rss: Resident bytes, None where they cannot be told.
        telemetry_errors: Our own errors by place.
        telemetry_dropped: Telemetry lost by signal.
        telemetry_cost: What stagelight itself costs here.
    """

    pid: int
    uptime: float
    cpu_seconds: float
    memory_rss: int | None
    telemetry_errors: dict[str, int]
    telemetry_dropped: dict[str, int]
    telemetry_cost: TelemetryCost | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Frozen state of one process's pipelines at one moment.

    Attributes:
        version: Version of this document's shape.
        time: Wall clock in seconds since the epoch.
        process: This process.
        pipelines: Name to pipeline.
    """

    version: int
    time: float
    process: ProcessStats
    pipelines: dict[str, PipelineStats]
