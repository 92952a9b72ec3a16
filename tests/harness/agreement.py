"""Compares what ``stats()`` says with what a receiver was sent, number by number."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .data import ReceivedPoint
    from .otlp import OtlpReceiver

Series = dict[tuple[str, ...], Any]
#: Sums travel as floats of seconds, and stats() divides and multiplies them by counts.
ROUNDING = 1e-9


class Agreement:
    """One pipeline of one process: its document, and the newest points about it.

    Args:
        document: What ``pipeline.stats()`` returned after the last flush.
        receiver: Where the process exported to, with cumulative temporality.
    """

    def __init__(self, document: dict[str, Any], receiver: OtlpReceiver) -> None:
        """Look at one pipeline."""
        self.document = document
        self.receiver = receiver

    def check(self) -> None:
        """Assert that every number of the document was exported as it is."""
        self._check_stages()
        self._check_durations()
        self._check_queues()
        self._check_pools()
        self._check_journeys()
        self._check_process()

    # What the document says

    @property
    def _stages(self) -> dict[str, Any]:
        stages: dict[str, Any] = self.document["stages"]
        return stages

    @property
    def _queues(self) -> dict[str, Any]:
        backlogs = {
            name: pool["backlog"] for name, pool in self.document["pools"].items()
        }
        return {**self.document["queues"], **backlogs}

    # What was exported

    def _points(self, name: str) -> list[ReceivedPoint]:
        return self.receiver.last(f"stagelight.{name}")

    def _values(self, name: str, *keys: str) -> Series:
        """Value by the attributes of these keys, added up over all others."""
        values: Series = {}
        for point in self._points(name):
            key = _key(point, keys)
            values[key] = values.get(key, 0) + point.value
        return values

    def _check_stages(self) -> None:
        own = "stage.name"
        stages = self._stages.items()
        outcomes = {
            (name, outcome): number
            for name, stage in stages
            for outcome, number in {"success": 0, **stage["outcomes"]}.items()
        }
        assert self._values("stage.consumed.events", own, "outcome") == outcomes
        for metric, field in (("produced.events", "produced"), ("retries",) * 2):
            expected = {(name,): stage[field] for name, stage in stages}
            assert self._values(f"stage.{metric}", own) == expected
        assert self._values("stage.active", own) == {
            (name,): stage["active"] for name, stage in stages
        }
        assert self._values("stage.dropped.events", own, "drop.reason") == {
            (name, reason): number
            for name, stage in stages
            for reason, number in stage["dropped"].items()
        }
        assert self._values("worker.time", own, "worker.state") == {
            (name, state): seconds
            for name, stage in stages
            for state, seconds in stage["worker_seconds"].items()
        }

    def _check_durations(self) -> None:
        found: dict[str, list[ReceivedPoint]] = {}
        errors: Counter[tuple[str, str]] = Counter()
        for point in self._points("stage.process.duration"):
            stage = point.attributes["stagelight.stage.name"]
            found.setdefault(stage, []).append(point)
            if "error.type" in point.attributes:
                errors[stage, point.attributes["error.type"]] += point.count or 0
        for name, stage in self._stages.items():
            same(found.pop(name, []), stage["duration"])
        assert found == {}
        assert errors == {
            (name, kind): number
            for name, stage in self._stages.items()
            for kind, number in stage["errors"].items()
        }

    def _check_queues(self) -> None:
        own = "queue.name"
        queues = self._queues.items()
        for metric, field in (
            ("queue.size", "size"),
            ("queue.capacity", "capacity"),
            ("queue.oldest.age", "oldest_age"),
            ("queue.put.blocked.time", "put_blocked"),
        ):
            assert self._values(metric, own) == {
                (name,): queue[field]
                for name, queue in queues
                if queue[field] is not None
            }, metric
        refused = {
            (name, reason): number
            for name, queue in queues
            for reason, number in queue["refused"].items()
        }
        taken = {(name, ""): queue["enqueued"] for name, queue in queues}
        found = self._values("queue.enqueued.events", own, "error.type")
        assert found == {**taken, **refused}
        waits: dict[str, list[ReceivedPoint]] = {}
        for point in self._points("queue.wait.duration"):
            name = point.attributes["stagelight.queue.name"]
            waits.setdefault(name, []).append(point)
        for name, queue in queues:
            same(waits.pop(name, []), queue["wait"])
        assert waits == {}
        # Each collection has its own high watermark: the highest is that of stats().
        highest: Counter[str] = Counter()
        for point in self.receiver.points("stagelight.queue.high_watermark"):
            name = point.attributes["stagelight.queue.name"]
            highest[name] = max(highest[name], int(point.value or 0))
        assert highest == {name: queue["high_watermark"] for name, queue in queues}

    def _check_pools(self) -> None:
        pools = self.document["pools"].items()
        limits = {(name,): pool["limit"] for name, pool in pools}
        assert self._values("worker.limit", "stage.name") == limits
        counts = self._values("worker.count", "stage.name", "worker.state")
        for name, pool in pools:
            assert counts[name, "busy"] == pool["busy"]
            assert counts[name, "idle"] == pool["limit"] - pool["busy"]

    def _check_journeys(self) -> None:
        same(self._points("pipeline.duration"), self.document["journeys"])

    def _check_process(self) -> None:
        process = self.document["process"]
        for metric, key in (("dropped", "signal"), ("errors", "telemetry.place")):
            expected = {
                (name,): number
                for name, number in process[f"telemetry_{metric}"].items()
            }
            assert self._values(f"telemetry.{metric}", key) == expected


def _key(point: ReceivedPoint, keys: Iterable[str]) -> tuple[str, ...]:
    attributes = point.attributes
    return tuple(
        str(attributes.get(key if key == "error.type" else f"stagelight.{key}", ""))
        for key in keys
    )


def same(points: list[ReceivedPoint], quantiles: dict[str, Any]) -> None:
    """Assert that exported histograms, added up, are these quantiles of ``stats()``.

    Args:
        points: Histogram points of one stage or queue.
        quantiles: Its count, mean, p50, p95, p99 and max.
    """
    count = sum(point.count or 0 for point in points)
    assert count == quantiles["count"]
    if not count:
        return
    total = sum(point.sum or 0.0 for point in points)
    assert math.isclose(total, quantiles["mean"] * count, rel_tol=ROUNDING)
    assert max(point.max or 0.0 for point in points) == quantiles["max"]
    buckets = [
        sum(column) for column in zip(*(one.buckets for one in points), strict=True)
    ]
    assert sum(buckets) == count
    edges = [0.0, *points[0].bounds, math.inf]
    for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        below, bucket = 0, 0
        while below + buckets[bucket] < share * count:
            below += buckets[bucket]
            bucket += 1
        slack = 1 + ROUNDING
        assert edges[bucket] <= quantiles[name] * slack, name
        assert quantiles[name] <= edges[bucket + 1] * slack, name
