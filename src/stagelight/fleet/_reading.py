"""From series back to looks: the same that a process has of itself."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stagelight import _names
from stagelight._cells import BOUNDS, NANOSECONDS
from stagelight._distribution import Distribution
from stagelight._sight import QueueSight, Sight, StageSight

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stagelight.fleet._prometheus import Point

_SUFFIX: Final = re.compile(
    r"(_seconds|_ratio)?(_total|_bucket|_sum|_count|_max|_min)?$"
)


def _plain(name: str) -> str:
    return name.replace(".", "_")


#: Name in Prometheus without unit and suffix -> our metric.
_METRICS: Final = {_plain(metric.name): metric for metric in _names.METRICS}
_PIPELINE, _STAGE, _QUEUE = map(_plain, (_names.PIPELINE, _names.STAGE, _names.QUEUE))
_OUTCOME, _STATE = _plain(_names.OUTCOME), _plain(_names.WORKER_STATE)
_ERROR: Final = _plain(_names.ERROR_TYPE)


@dataclass(slots=True)
class StageNumbers:
    """Sums over instances."""

    buckets: dict[float, float] = field(default_factory=lambda: defaultdict(float))
    seconds: float = 0.0
    outcomes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    errors: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    dropped: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    produced: int = 0
    retries: int = 0
    active: int = 0
    time: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    count: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    limit: int = 0
    states: set[str] = field(default_factory=set)


@dataclass(slots=True)
class QueueNumbers:
    """Sums over instances; the age, and what a shared queue holds, is the largest."""

    buckets: dict[float, float] = field(default_factory=lambda: defaultdict(float))
    seconds: float = 0.0
    size: int | None = None
    capacity: int | None = None
    high: int = 0
    enqueued: int = 0
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    blocked: float = 0.0
    oldest: float = 0.0


@dataclass(slots=True)
class PipelineNumbers:
    """One pipeline of all instances together."""

    stages: dict[str, StageNumbers] = field(
        default_factory=lambda: defaultdict(StageNumbers)
    )
    queues: dict[str, QueueNumbers] = field(
        default_factory=lambda: defaultdict(QueueNumbers)
    )
    buckets: dict[float, float] = field(default_factory=lambda: defaultdict(float))
    seconds: float = 0.0
    links: set[tuple[str, str]] = field(default_factory=set)


def read(points: Iterable[Point]) -> dict[str, PipelineNumbers]:
    """Pipelines by name, summed over all instances of the points.

    Args:
        points: Series at one moment.
    """
    found: dict[str, PipelineNumbers] = defaultdict(PipelineNumbers)
    for point in points:
        base, kind = _name_of(point.name)
        metric = _METRICS.get(base)
        pipeline = point.labels.get(_PIPELINE)
        if metric is None or pipeline is None:
            continue
        home = found[pipeline]
        if metric is _names.FLOW_LINK:
            ends = (_plain(_names.LINK_FROM), _plain(_names.LINK_TO))
            home.links.add((point.labels[ends[0]], point.labels[ends[1]]))
        elif metric is _names.PIPELINE_DURATION:
            _histogram(home, kind, point)
        elif _STAGE in point.labels:
            _stage(home.stages[point.labels[_STAGE]], metric, kind, point)
        elif _QUEUE in point.labels:
            _queue(home.queues[point.labels[_QUEUE]], metric, kind, point)
    return dict(found)


def _name_of(name: str) -> tuple[str, str]:
    """Our metric's name, and the suffix that tells what of it."""
    if name in _METRICS:
        return name, ""
    suffix = _SUFFIX.search(name)
    end = suffix[0] if suffix else ""
    base = name[: len(name) - len(end)]
    return base, (suffix[2] or "") if suffix else ""


def _histogram(
    target: StageNumbers | QueueNumbers | PipelineNumbers, kind: str, point: Point
) -> None:
    if kind == "_bucket":
        target.buckets[float(point.labels["le"])] += point.value
    elif kind == "_sum":
        target.seconds += point.value


def _stage(  # noqa: C901 - one branch for each metric
    stage: StageNumbers, metric: _names.Metric, kind: str, point: Point
) -> None:
    labels, value = point.labels, point.value
    if metric is _names.PROCESS_DURATION:
        _histogram(stage, kind, point)
        if kind == "_count":
            outcome = labels.get(_OUTCOME, _names.SUCCESS)
            stage.outcomes[outcome] += int(value)
            if outcome in _names.ERRORS:
                stage.errors[labels.get(_ERROR, _names.OTHER)] += int(value)
    elif metric is _names.PRODUCED:
        stage.produced += int(value)
    elif metric is _names.DROPPED_EVENTS:
        stage.dropped[labels.get(_plain(_names.DROP_REASON), "")] += int(value)
    elif metric is _names.RETRIES:
        stage.retries += int(value)
    elif metric is _names.ACTIVE:
        stage.active += int(value)
    elif metric is _names.WORKER_TIME:
        stage.time[labels[_STATE]] += value
    elif metric is _names.WORKER_COUNT:
        stage.count[labels[_STATE]] += int(value)
    elif metric is _names.WORKER_LIMIT:
        stage.limit += int(value)
    elif metric is _names.STAGE_STATUS and value:
        stage.states.add(labels[_plain(_names.STATE)])


def _queue(queue: QueueNumbers, metric: _names.Metric, kind: str, point: Point) -> None:
    value = point.value
    if metric is _names.WAIT_DURATION:
        _histogram(queue, kind, point)
    elif metric is _names.QUEUE_SIZE:
        queue.size = _joined(queue.size or 0, value, point)
    elif metric is _names.QUEUE_CAPACITY:
        queue.capacity = _joined(queue.capacity or 0, value, point)
    elif metric is _names.HIGH_WATERMARK:
        queue.high = _joined(queue.high, value, point)
    elif metric is _names.ENQUEUED and _ERROR in point.labels:
        queue.refused[point.labels[_ERROR]] += int(value)
    elif metric is _names.ENQUEUED:
        queue.enqueued += int(value)
    elif metric is _names.PUT_BLOCKED:
        queue.blocked += value
    elif metric is _names.OLDEST_AGE:
        queue.oldest = max(queue.oldest, value)


def _joined(known: int, value: float, point: Point) -> int:
    """Of a queue that processes share all tell the same; of their own it adds up."""
    if point.labels.get(_plain(_names.SHARED)) == "true":
        return max(known, int(value))
    return known + int(value)


def distribution(buckets: dict[float, float], seconds: float) -> Distribution:
    """A distribution from cumulative buckets; inside of one all values are as likely.

    Args:
        buckets: Upper bound in seconds to the number of samples up to it.
        seconds: Sum of all samples.
    """
    cells: dict[int, int] = {}
    below, lower = 0.0, 0
    top = 0
    for bound in sorted(buckets):
        number = round(buckets[bound] - below)
        below = buckets[bound]
        upper = BOUNDS[-1] if bound == float("inf") else round(bound * NANOSECONDS)
        if number > 0:
            _spread(cells, lower, upper, number)
            top = upper
        lower = upper
    return Distribution.of(cells, round(seconds * NANOSECONDS), top)


def _spread(cells: dict[int, int], lower: int, upper: int, number: int) -> None:
    inside = [
        (place, edge) for place, edge in enumerate(BOUNDS) if lower < edge <= upper
    ]
    given, start = 0, lower
    for place, edge in inside:
        share = round(number * (edge - lower) / (upper - lower)) - given
        if share:
            cells[place] = cells.get(place, 0) + share
        given += share
        start = edge
    if given < number:
        last = inside[-1][0] if inside else len(BOUNDS)
        cells[last] = cells.get(last, 0) + number - given
    del start


def sight(numbers: PipelineNumbers, at: float) -> Sight:
    """A pipeline's look.

    Args:
        numbers: Its sums.
        at: Wall clock in seconds.
    """
    return Sight(
        at=round(at * NANOSECONDS),
        stages={name: _see(name, one, numbers) for name, one in numbers.stages.items()},
        queues={name: _see_queue(name, one) for name, one in numbers.queues.items()},
        pools={name: one.limit for name, one in numbers.stages.items() if one.limit},
        passes=passes(numbers),
    )


def passes(numbers: PipelineNumbers) -> dict[str, frozenset[str]]:
    """Queue or pool to the queues whose events are passed on to it."""
    found: dict[str, set[str]] = defaultdict(set)
    for from_, to in numbers.links:
        if from_.startswith("queue:") and to.startswith("queue:"):
            found[to[6:]].add(from_[6:])
    return {name: frozenset(one) for name, one in found.items()}


def _see(name: str, stage: StageNumbers, home: PipelineNumbers) -> StageSight:
    whole = distribution(stage.buckets, stage.seconds)
    me = f"stage:{name}"
    outputs = {to for from_, to in home.links if from_ == me}
    seconds = {
        state: round(stage.time.get(state, 0.0) * NANOSECONDS)
        for state in _names.WORKER_STATES
    }
    busy = seconds[_names.BUSY]
    return StageSight(
        name=name,
        # What suspends is in the durations alone, and not in the workers' time.
        task=whole.sum > 2 * busy > 0,
        whole=whole,
        count=whole.count,
        errors=sum(stage.errors.values()),
        retries=stage.retries,
        active=stage.active,
        oldest=0,
        seconds=seconds,
        inside=whole.sum,
        threads=sum(stage.count.values()),
        inputs=frozenset(one[6:] for one, to in home.links if to == me),
        outputs=frozenset(to[6:] for to in outputs if to.startswith("queue:")),
        inner=frozenset(to[6:] for to in outputs if to.startswith("stage:")),
    )


def _see_queue(name: str, queue: QueueNumbers) -> QueueSight:
    wait = distribution(queue.buckets, queue.seconds)
    return QueueSight(
        name=name,
        size=queue.size,
        capacity=queue.capacity,
        enqueued=queue.enqueued,
        dequeued=wait.count,
        refused=sum(queue.refused.values()),
        blocked=round(queue.blocked * NANOSECONDS),
        wait=wait,
        oldest_age=queue.oldest,
    )
