"""What the page gets once a second: of the whole document the part that it shows.

Names, places and values are those of the whole. Of fifty stages this is less than half
of it, and costs half as much.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from stagelight._cells import NANOSECONDS
from stagelight._cost import telemetry_cost
from stagelight._insight import audit, longest_calls
from stagelight._limiting import recent_bottleneck
from stagelight._registry import REGISTRY
from stagelight._snapshot import read_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stagelight._insight import Window
    from stagelight._insight._window import QueueWindow, StageWindow
    from stagelight._insights import Longest, TelemetryCost
    from stagelight._model import PipelineStats, Quantiles
    from stagelight._records import StageReading
    from stagelight._registry import PipelineRecord
    from stagelight._sight import QueueSight, StageSight
    from stagelight._snapshot import Past
    from stagelight.health import HealthReport

#: Rows of a list that the page may show.
SHOWN: Final = 20
#: Seconds for which the cost of recording is the same on the page, less a bit.
_SELDOM: Final = 4.5


def live_pipelines(
    past: Callable[[str], Past],
) -> dict[str, dict[str, Any] | PipelineStats]:
    """Every pipeline of this process, as of the look just made.

    Args:
        past: The memory of who looked, by name of the pipeline.
    """
    with REGISTRY.lock:
        records = list(REGISTRY.pipelines.values())
    found: dict[str, dict[str, Any] | PipelineStats] = {}
    for record in records:
        seen = past(record.name)
        if seen.fresh is None:
            found[record.name] = read_pipeline(record, seen)
        else:
            found[record.name] = _pipeline(record, *seen.fresh, seen.sizes)
    return found


class Costs:
    """What recording costs, reckoned every few seconds: all workers are asked."""

    def __init__(self) -> None:
        self._due = 0.0
        self._last: TelemetryCost | None = None

    def __call__(self) -> TelemetryCost:
        """The cost, of some seconds ago at most."""
        now = time.monotonic()
        if self._last is None or now >= self._due:
            self._last, self._due = telemetry_cost(), now + _SELDOM
        return self._last


def live_health(report: HealthReport) -> dict[str, Any]:
    """The verdict without what only the probes look at.

    Args:
        report: The verdict.
    """
    return {
        "time": report.time,
        "state": report.state,
        "since": report.since,
        "reason": report.reason,
        "pipelines": {
            name: {
                "state": one.state,
                "since": one.since,
                "reason": one.reason,
                "stages": {
                    stage: {"state": own.state, "reason": own.reason}
                    for stage, own in one.stages.items()
                },
            }
            for name, one in report.pipelines.items()
        },
        "history": report.history[:SHOWN],
    }


def _pipeline(
    record: PipelineRecord,
    window: Window,
    readings: Mapping[str, StageReading],
    sizes: Mapping[str, float],
) -> dict[str, Any]:
    with REGISTRY.lock:
        pools = list(record.pools.values())
    later = window.later
    queues = {
        name: _queue(record.queues[name].refused, sight)
        for name, sight in later.queues.items()
        if name in record.queues
    }
    longest = longest_calls(
        record.stages[name]
        for name, sight in later.stages.items()
        if sight.oldest >= NANOSECONDS and name in record.stages
    )
    return {
        "name": record.name,
        "stages": {
            name: _stage(sight, readings[name]) for name, sight in later.stages.items()
        },
        "queues": queues,
        "pools": {
            pool.name: {
                "limit": pool.limit,
                "busy": pool.busy(),
                "backlog": _queue(pool.backlog.refused, later.queues[pool.name]),
            }
            for pool in pools
            if pool.name in later.queues
        },
        "passes": {name: sorted(one) for name, one in later.passes.items()},
        "journeys": record.journeys.whole().quantiles(),
        "bottleneck": recent_bottleneck(window, record.passes),
        "insight": {
            "window": window.seconds,
            "stages": {
                name: _stage_insight(one, longest.get(name))
                for name, one in window.stages.items()
            },
            "queues": {
                name: _queue_insight(one) for name, one in window.queues.items()
            },
            "cores": window.cores,
            "audit": audit(window, sizes),
        },
    }


def _stage(seen: StageSight, reading: StageReading) -> dict[str, Any]:
    totals = reading.totals
    return {
        "name": seen.name,
        "count": seen.count,
        "errors": totals.error_types() if totals.failures else {},
        "dropped": totals.dropped() if totals.drops else {},
        "retries": seen.retries,
        "active": seen.active,
        "oldest_active": seen.oldest / NANOSECONDS,
        "inputs": sorted(seen.inputs),
        "outputs": sorted(seen.outputs),
        "inner": sorted(seen.inner),
    }


def _queue(refused: dict[str, int], seen: QueueSight) -> dict[str, Any]:
    return {
        "size": seen.size,
        "capacity": seen.capacity,
        "enqueued": seen.enqueued,
        "refused": dict(refused),
        "oldest_age": seen.oldest_age,
    }


def _stage_insight(one: StageWindow, longest: Longest | None) -> dict[str, Any]:
    return {
        "rate": one.rate,
        "errors": one.errors,
        "duration": _quantiles(one.quantiles),
        "busy": one.busy,
        "blocked": one.blocked,
        "workers": one.workers,
        "cpu": one.cpu,
        "headroom": one.headroom,
        "together": one.together,
        "longest": longest,
    }


def _queue_insight(one: QueueWindow) -> dict[str, Any]:
    to_full, to_drain = one.pace
    return {
        "arrivals": one.arrivals,
        "departures": one.departures,
        "wait": _quantiles(one.quantiles),
        "fill": one.fill,
        "blocked": one.blocked,
        "seconds_to_full": to_full,
        "seconds_to_drain": to_drain,
    }


def _quantiles(one: Quantiles) -> dict[str, float | None]:
    return {"count": one.count, "p50": one.p50, "p95": one.p95, "p99": one.p99}
