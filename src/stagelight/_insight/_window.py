"""What happened in a pipeline between two looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stagelight import _names
from stagelight._cells import NANOSECONDS
from stagelight._insight._groups import Group, form_groups
from stagelight._insights import QueueInsight

if TYPE_CHECKING:
    from stagelight._distribution import Distribution
    from stagelight._model import Quantiles
    from stagelight._sight import QueueSight, Sight, StageSight

#: Shares below this are noise.
NOISE: Final = 0.005
_NEVER: Final = dict.fromkeys(_names.WORKER_STATES, 0)


@dataclass
class StageWindow:
    """One stage: rates per second, shares of its workers' time."""

    sight: StageSight
    rate: float
    errors: float
    retries: float
    duration: Distribution
    busy: float
    idle: float
    blocked: float
    #: Seconds in each worker state, and inside of calls, per second.
    seconds: dict[str, float]
    inside: float
    workers: float = 0.0
    cpu: float | None = None
    capacity: float | None = None
    headroom: float | None = None
    together: list[str] = field(default_factory=list)
    #: Its quantiles, once somebody asked.
    read: Quantiles | None = None

    @property
    def quantiles(self) -> Quantiles:
        """How long the calls took."""
        found = self.read
        if found is None:
            found = self.read = self.duration.quantiles()
        return found


@dataclass
class QueueWindow:
    """One queue: rates per second."""

    sight: QueueSight
    arrivals: float
    departures: float
    wait: Distribution
    blocked: float
    #: Its quantiles, once somebody asked.
    read: Quantiles | None = None

    @property
    def quantiles(self) -> Quantiles:
        """How long the events waited."""
        found = self.read
        if found is None:
            found = self.read = self.wait.quantiles()
        return found

    @property
    def fill(self) -> float | None:
        """Share of its capacity in use."""
        size, capacity = self.sight.size, self.sight.capacity
        return size / capacity if capacity and size is not None else None

    @property
    def little(self) -> float:
        """Mean size by Little's law."""
        count = self.wait.count
        mean = self.wait.sum / count / NANOSECONDS if count else 0.0
        return self.departures * mean

    @property
    def pace(self) -> tuple[float | None, float | None]:
        """Seconds until it is full, and until it is empty; None where it is not so."""
        net = self.arrivals - self.departures
        size, capacity = self.sight.size, self.sight.capacity
        # A tenth of a percent of the flow is a queue that keeps its level.
        if size is None or abs(net) <= max(self.arrivals, self.departures) * 1e-3:
            return None, None
        if net > 0:
            return (max(capacity - size, 0) / net if capacity else None), None
        return None, size / -net

    def insight(self, mean_size: float | None) -> QueueInsight:
        """What is told of it.

        Args:
            mean_size: Mean of the sizes seen, if anybody looked.
        """
        to_full, to_drain = self.pace
        return QueueInsight(
            arrivals=self.arrivals,
            departures=self.departures,
            wait=self.quantiles,
            fill=self.fill,
            blocked=self.blocked,
            seconds_to_full=to_full,
            seconds_to_drain=to_drain,
            little=self.little,
            mean_size=mean_size,
        )


class Window:
    """One pipeline between two looks.

    Args:
        later: The newer look.
        earlier: The older one; None for the beginning.
        began: Clock when recording began, where there is no older look.
    """

    def __init__(self, later: Sight, earlier: Sight | None, began: int) -> None:
        self.later = later
        self.earlier = earlier
        start = earlier.at if earlier is not None else began
        self.nanoseconds = max(later.at - start, 1)
        self.seconds = self.nanoseconds / NANOSECONDS
        self.queues = {one.name: self._queue(one) for one in later.queues.values()}
        self.stages = {one.name: self._stage(one) for one in later.stages.values()}
        self.cores = self._processors()
        self.groups: list[Group] = form_groups(self)
        for group in self.groups:
            for name in group.stages:
                self._judge(self.stages[name], group)

    def _stage(self, sight: StageSight) -> StageWindow:
        before = self.earlier.stages.get(sight.name) if self.earlier else None
        duration = sight.whole.minus(before.whole if before else None)
        per = self.nanoseconds
        old = before.seconds if before else _NEVER
        seconds = {
            state: max(spent - old[state], 0) / per
            for state, spent in sight.seconds.items()
        }
        inside = max(sight.inside - (before.inside if before else 0), 0) / per
        worked, total = seconds[_names.BUSY], sum(seconds.values())
        if sight.task:
            # A task that waits inside of a call works on it, and leaves the loop alone.
            others, worked = total - worked, max(worked, inside)
            total = max(others + worked, 1.0)
        total = total or 1.0
        return StageWindow(
            sight=sight,
            rate=(sight.count - (before.count if before else 0)) / self.seconds,
            errors=(sight.errors - (before.errors if before else 0)) / self.seconds,
            retries=(sight.retries - (before.retries if before else 0)) / self.seconds,
            duration=duration,
            busy=worked / total,
            idle=seconds[_names.IDLE] / total,
            blocked=seconds[_names.BLOCKED_STATE] / total,
            seconds=seconds,
            inside=inside,
        )

    def _queue(self, sight: QueueSight) -> QueueWindow:
        before = self.earlier.queues.get(sight.name) if self.earlier else None
        if before is not None and before.enqueued > sight.enqueued:
            before = None  # another queue of the same name
        return QueueWindow(
            sight=sight,
            arrivals=(sight.enqueued - (before.enqueued if before else 0))
            / self.seconds,
            departures=(sight.dequeued - (before.dequeued if before else 0))
            / self.seconds,
            wait=sight.wait.minus(before.wait if before else None),
            blocked=max(sight.blocked - (before.blocked if before else 0), 0)
            / self.nanoseconds,
        )

    def _processors(self) -> float | None:
        """Processors kept busy; each stage gets its share of its threads' time."""
        total: float | None = None
        spent = dict.fromkeys(self.stages, 0.0)
        known = dict.fromkeys(self.stages, 0.0)
        for key, worker in self.later.workers.items():
            if worker.cpu is None:
                continue
            before = self.earlier.workers.get(key) if self.earlier else None
            old = before.busy if before else {}
            cpu = max(worker.cpu - (before.cpu or 0 if before else 0), 0)
            total = (total or 0.0) + cpu / self.nanoseconds
            busy = {
                name: max(now - old.get(name, 0), 0)
                for name, now in worker.busy.items()
            }
            whole = sum(busy.values())
            for name, one in busy.items():
                if whole and name in spent:
                    spent[name] += min(cpu, whole) * one / whole
                    known[name] += one
        for name, stage in self.stages.items():
            worked = known[name]
            if stage.sight.task:
                worked = max(worked, stage.inside * self.nanoseconds)
            if worked > self.nanoseconds * NOISE / 10:
                stage.cpu = min(spent[name] / worked, 1.0)
        return total

    def _judge(self, stage: StageWindow, group: Group) -> None:
        """Workers, capacity and headroom of a stage, from those it shares them with."""
        stage.workers = group.workers
        stage.together = sorted(set(group.stages) - {stage.sight.name})
        if not stage.rate or not group.used:
            return
        stage.capacity = stage.rate / group.used
        inputs = [self.queues[n] for n in stage.sight.inputs if n in self.queues]
        arriving = sum(queue.arrivals for queue in inputs) if inputs else stage.rate
        # Where a call takes many events, or a queue feeds several stages.
        fetched = sum(queue.departures for queue in inputs)
        if inputs and fetched:
            arriving *= stage.rate / fetched
        stage.headroom = 1 - arriving / stage.capacity
