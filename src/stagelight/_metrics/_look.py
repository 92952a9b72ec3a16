"""One look at all records for one reader, so that all metrics of a collection agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stagelight import _names, _sinks
from stagelight._cells import NANOSECONDS
from stagelight._distribution import Distribution
from stagelight._metrics._own import OWN
from stagelight._metrics._whole import WHOLE
from stagelight._registry import REGISTRY
from stagelight._slices import Slices

if TYPE_CHECKING:
    from stagelight._buffers import QueueRecord
    from stagelight._names import Metric
    from stagelight._records import StageReading, StageRecord

Attributes = dict[str, str | bool]
Number = int | float


@dataclass(frozen=True)
class Point:
    """A histogram point: its attributes, bounds in seconds, and what was recorded."""

    metric: Metric
    attributes: Attributes
    bounds: tuple[float, ...]
    distribution: Distribution

    @property
    def key(self) -> tuple[object, ...]:
        """Identity of the time series."""
        return (self.metric.name, *sorted(self.attributes.items()))


class Look:
    """Every record, read once.

    Args:
        reader: Stands for the reader, whose peaks are its own.
    """

    def __init__(self, reader: object) -> None:
        self.reader = reader
        self.slices = Slices()
        self.stages: list[tuple[StageRecord, StageReading]] = [
            (stage, stage.read()) for stage in self.slices.over(REGISTRY.stages())
        ]
        self.queues: list[QueueRecord] = REGISTRY.queues()
        #: Read once, so that no watermark is below the size beside it.
        self.sizes = [queue.size() for queue in self.queues]
        self.pools = REGISTRY.pools()

    def numbers(self, metric: Metric) -> Iterator[tuple[Number, Attributes]]:
        """Value and attributes of each point of a counter or gauge.

        Args:
            metric: A row of the metric table.
        """
        yield from self.slices.over(_NUMBERS[metric.name](self))

    def points(self) -> Iterator[Point]:
        """Every histogram point."""
        yield from self.slices.over(self._points())

    def _points(self) -> Iterator[Point]:
        for stage, reading in self.stages:
            totals = reading.totals
            parts = [((_names.SUCCESS, ""), totals), *totals.failures.items()]
            for (outcome, error_type), part in parts:
                if not part.count:
                    continue
                attributes = {**stage_key(stage), _names.OUTCOME: outcome}
                if error_type:
                    attributes[_names.ERROR_TYPE] = error_type
                yield Point(
                    _names.PROCESS_DURATION, attributes, _names.DURATION_BUCKETS, part
                )
        yield from self._batches()
        for queue in self.queues:
            if queue.wait.count:
                with queue.lock:
                    wait = Distribution()
                    wait.merge(queue.wait)
                yield Point(
                    _names.WAIT_DURATION,
                    queue_key(queue),
                    _names.DURATION_BUCKETS,
                    wait,
                )
        with REGISTRY.lock:
            pipelines = list(REGISTRY.pipelines.values())
        for pipeline in pipelines:
            journeys = pipeline.journeys.totals(history=False)
            parts = [((_names.SUCCESS, ""), journeys), *journeys.failures.items()]
            for (outcome, _), part in parts:
                if part.count:
                    attributes = {
                        _names.PIPELINE: pipeline.name,
                        _names.OUTCOME: outcome,
                    }
                    yield Point(
                        _names.PIPELINE_DURATION,
                        attributes,
                        _names.PIPELINE_BUCKETS,
                        part,
                    )

    def _batches(self) -> Iterator[Point]:
        for stage, reading in self.stages:
            extra = reading.totals.extra
            if extra is not None and extra.sizes.count:
                yield Point(
                    _names.BATCHES, stage_key(stage), _names.BATCH_BUCKETS, extra.sizes
                )


def stage_key(stage: StageRecord) -> Attributes:
    """The attributes that name a stage."""
    return {_names.PIPELINE: stage.pipeline.name, _names.STAGE: stage.name}


def queue_key(queue: QueueRecord) -> Attributes:
    """The attributes that name a queue."""
    return {_names.PIPELINE: queue.pipeline.name, _names.QUEUE: queue.name}


def _size_key(queue: QueueRecord) -> Attributes:
    """Attributes of what all processes tell alike that share a queue."""
    key = queue_key(queue)
    return {**key, _names.SHARED: True} if queue.shared else key


_Numbers = Iterator[tuple[Number, Attributes]]


def _consumed(look: Look) -> _Numbers:
    for stage, reading in look.stages:
        key = stage_key(stage)
        totals = reading.totals
        counts = totals.ends if "generator" in stage.kind else totals.outcomes()
        # A rate needs the zero before the first event.
        for outcome, number in {_names.SUCCESS: 0, **counts}.items():
            yield number, {**key, _names.OUTCOME: outcome}


def _produced(look: Look) -> _Numbers:
    for stage, reading in look.stages:
        yield reading.produced, stage_key(stage)


def _dropped(look: Look) -> _Numbers:
    for stage, reading in look.stages:
        for (reason, intentional), number in reading.totals.drops.items():
            yield (
                number,
                {
                    **stage_key(stage),
                    _names.DROP_REASON: reason,
                    _names.DROP_INTENTIONAL: intentional,
                },
            )


def _retries(look: Look) -> _Numbers:
    for stage, reading in look.stages:
        yield reading.totals.retries, stage_key(stage)


def _active(look: Look) -> _Numbers:
    for stage, reading in look.stages:
        yield reading.active, stage_key(stage)


def _inflight_age(look: Look) -> _Numbers:
    for stage, reading in look.stages:
        yield reading.oldest / NANOSECONDS, stage_key(stage)


def _waiting(look: Look) -> _Numbers:
    sizes = {
        (queue.pipeline.name, queue.name): queue.size() or 0 for queue in look.queues
    }
    for stage, _ in look.stages:
        pipeline = stage.pipeline.name
        found = [sizes.get((pipeline, name)) for name in list(stage.inputs)]
        if found:
            yield sum(size for size in found if size), stage_key(stage)


def _worker_time(look: Look) -> _Numbers:
    for stage, reading in look.stages:
        for state, value in reading.seconds.items():
            yield value / NANOSECONDS, {**stage_key(stage), _names.WORKER_STATE: state}


def _worker_count(look: Look) -> _Numbers:
    pools = {(pool.pipeline.name, pool.name): pool for pool in look.pools}
    for stage, reading in look.stages:
        if (stage.pipeline.name, stage.name) in pools:
            continue
        for state, number in reading.workers.items():
            yield number, {**stage_key(stage), _names.WORKER_STATE: state}
    for (pipeline, name), pool in pools.items():
        key: Attributes = {_names.PIPELINE: pipeline, _names.STAGE: name}
        busy = pool.busy()
        yield busy, {**key, _names.WORKER_STATE: _names.BUSY}
        yield max(pool.limit - busy, 0), {**key, _names.WORKER_STATE: _names.IDLE}


def _worker_limit(look: Look) -> _Numbers:
    for pool in look.pools:
        if pool.limit:
            key: Attributes = {
                _names.PIPELINE: pool.pipeline.name,
                _names.STAGE: pool.name,
            }
            yield pool.limit, key


def _blocked_max(look: Look) -> _Numbers:
    for stage, _ in look.stages:
        yield stage.blocked_peak.read(look.reader) / NANOSECONDS, stage_key(stage)


def _size(look: Look) -> _Numbers:
    for queue, size in zip(look.queues, look.sizes, strict=True):
        if size is not None:
            yield size, _size_key(queue)


def _capacity(look: Look) -> _Numbers:
    for queue in look.queues:
        capacity = queue.capacity()
        if capacity is not None:
            yield capacity, _size_key(queue)


def _oldest(look: Look) -> _Numbers:
    for queue in look.queues:
        yield queue.oldest_age(), queue_key(queue)


def _high_watermark(look: Look) -> _Numbers:
    for queue, size in zip(look.queues, look.sizes, strict=True):
        yield queue.peak.read(look.reader, size or 0), _size_key(queue)


def _enqueued(look: Look) -> _Numbers:
    for queue in look.queues:
        yield queue.enqueued, queue_key(queue)
        for reason, number in list(queue.refused.items()):
            yield number, {**queue_key(queue), _names.ERROR_TYPE: reason}


def _put_blocked(look: Look) -> _Numbers:
    for queue in look.queues:
        yield queue.blocked_time() / NANOSECONDS, queue_key(queue)


def _flow_link(look: Look) -> _Numbers:
    for stage, _ in look.stages:
        me = f"stage:{stage.name}"
        links = [(f"queue:{name}", me) for name in stage.inputs]
        links += [(me, f"queue:{name}") for name in stage.outputs]
        links += [(me, f"stage:{name}") for name in stage.inner]
        for from_, to in links:
            yield 1, _link(stage.pipeline.name, from_, to)
    for queue in look.queues:
        for name in queue.pipeline.passes.get(queue.name, ()):
            yield (
                1,
                _link(queue.pipeline.name, f"queue:{name}", f"queue:{queue.name}"),
            )


def _link(pipeline: str, from_: str, to: str) -> Attributes:
    return {
        _names.PIPELINE: pipeline,
        _names.LINK_FROM: from_,
        _names.LINK_TO: to,
    }


def _stage_status(_: Look) -> _Numbers:
    for watcher in list(_sinks.STATUS):
        for pipeline, stage, state in watcher():
            key: Attributes = {_names.PIPELINE: pipeline, _names.STAGE: stage}
            for one in _names.STATES:
                yield int(one == state), {**key, _names.STATE: one}


_NUMBERS: Final[dict[str, Callable[[Look], Any]]] = {
    _names.CONSUMED.name: _consumed,
    _names.PRODUCED.name: _produced,
    _names.DROPPED_EVENTS.name: _dropped,
    _names.RETRIES.name: _retries,
    _names.ACTIVE.name: _active,
    _names.INFLIGHT_AGE.name: _inflight_age,
    _names.WAITING.name: _waiting,
    _names.QUEUE_SIZE.name: _size,
    _names.QUEUE_CAPACITY.name: _capacity,
    _names.OLDEST_AGE.name: _oldest,
    _names.HIGH_WATERMARK.name: _high_watermark,
    _names.ENQUEUED.name: _enqueued,
    _names.PUT_BLOCKED.name: _put_blocked,
    _names.WORKER_TIME.name: _worker_time,
    _names.WORKER_COUNT.name: _worker_count,
    _names.WORKER_LIMIT.name: _worker_limit,
    _names.BLOCKED_MAX.name: _blocked_max,
    _names.FLOW_LINK.name: _flow_link,
    _names.STAGE_STATUS.name: _stage_status,
    **WHOLE,
    **OWN,
}
