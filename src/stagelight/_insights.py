"""Frozen data that says what the numbers of a snapshot mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stagelight._model import Quantiles


@dataclass(frozen=True, slots=True)
class Longest:
    """The longest-running open call of a stage.

    Attributes:
        seconds: Since it began.
        worker: Name of its thread, or ``task`` for a suspended coroutine.
        stack: Where it is now, the innermost frame last: ``file:line function``.
    """

    seconds: float
    worker: str
    stack: list[str]


@dataclass(frozen=True, slots=True)
class StageInsight:
    """One stage over the window.

    Attributes:
        rate: Finished calls per second.
        errors: Failed calls per second.
        retries: Retries per second.
        duration: Service time of the calls that finished.
        busy: Share of its workers' time in the stage, nested stages apart.
        idle: Share waiting for input.
        blocked: Share waiting to hand over output.
        workers: Workers that were on average there, whatever they did.
        cpu: Share of the busy time on a processor; what is left was waiting for I/O, a
            lock or the interpreter lock. None where the platform cannot tell.
        capacity: Calls per second that its workers can do; None before any.
        headroom: 1 - what arrives / capacity; None before any.
        together: Stages that run in the same threads, or inside of it.
        longest: Its longest-running call, where one runs for a second or more.
    """

    rate: float
    errors: float
    retries: float
    duration: Quantiles
    busy: float
    idle: float
    blocked: float
    workers: float
    cpu: float | None
    capacity: float | None
    headroom: float | None
    together: list[str]
    longest: Longest | None


@dataclass(frozen=True, slots=True)
class QueueInsight:
    """One queue over the window.

    Attributes:
        arrivals: Events put in per second.
        departures: Events fetched per second.
        wait: Time in the queue of the events that were fetched.
        fill: Share of its capacity that is in use, None without one.
        blocked: Producers that waited for room, on average.
        seconds_to_full: At this pace; None where it does not fill or has no bound.
        seconds_to_drain: At this pace; None where it does not drain.
        little: Mean size by Little's law: departures x mean wait.
        mean_size: Mean of the sizes seen; None where nobody looked.
    """

    arrivals: float
    departures: float
    wait: Quantiles
    fill: float | None
    blocked: float
    seconds_to_full: float | None
    seconds_to_drain: float | None
    little: float
    mean_size: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Numbers that should agree and do not: lost events, or broken instrumentation.

    Attributes:
        check: ``little``, ``queue`` or ``stage``.
        place: Name of the queue or stage.
        expected: What one side says.
        found: What the other side says.
        text: Both in words.
    """

    check: str
    place: str
    expected: float
    found: float
    text: str


@dataclass(frozen=True, slots=True)
class Insight:
    """What the numbers of a pipeline mean, over one window.

    Attributes:
        window: Seconds it looks back; since recording began where nobody watches.
        stages: Name to stage.
        queues: Name to queue; a pool's backlog has the pool's name.
        cores: Processors that its workers kept busy; None where nobody can tell.
        audit: What does not add up.
    """

    window: float
    stages: dict[str, StageInsight]
    queues: dict[str, QueueInsight]
    cores: float | None
    audit: list[Finding]


@dataclass(frozen=True, slots=True)
class TelemetryCost:
    """What stagelight itself costs in this process.

    Attributes:
        per_call: Seconds that the record path adds to a call, on average.
        calls: Calls recorded so far.
        recording: Processor seconds of the record path, reckoned from samples.
        background: Processor seconds of our own and the exporters' threads.
        share: Both as a share of one processor since recording began.
        busy_share: Share of recording in all workers' busy time, itself included.
        worst_share: That of the worst worker in the last second or so.
        budget: What that may be before less is recorded; 0 for anything.
        detail: The level in force.
        chosen: The level that the user chose.
    """

    per_call: float
    calls: int
    recording: float
    background: float
    share: float
    busy_share: float
    worst_share: float
    budget: float
    detail: str
    chosen: str
