"""Samples out of this process's records: the same that every reader of metrics gets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from stagelight import _names
from stagelight._cells import NANOSECONDS
from stagelight._insight import open_calls
from stagelight._metrics._look import Look
from stagelight._registry import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stagelight.alerts._evaluator import Evaluator

_PLAIN: Final = [
    metric
    for metric in _names.METRICS
    if metric.kind != _names.HISTOGRAM and metric is not _names.ALERT_STATUS
]
_STATE: Final = {_names.WORKER_TIME.name, _names.WORKER_COUNT.name}
#: Workers whose stacks are told.
_STACKS: Final = 4


class _Reader:
    """Stands for the engine among the readers of a peak."""


_ENGINE: Final = _Reader()


def sample(evaluator: Evaluator, now: float, base: dict[str, str]) -> Look:
    """Give an evaluator the state of this moment.

    Args:
        evaluator: It.
        now: Time in seconds.
        base: Labels of this process.

    Returns:
        What was looked at.
    """
    look = Look(_ENGINE)
    for (source, pipeline, name), value in _values(look, evaluator).items():
        evaluator.add(now, source, value, pipeline=pipeline, name=name, base=base)
    return look


def _values(look: Look, evaluator: Evaluator) -> dict[tuple[str, str, str], float]:
    found: dict[tuple[str, str, str], float] = {}
    for metric in _PLAIN:
        short = metric.name.removeprefix("stagelight.")
        states = metric.name in _STATE
        failures = metric is _names.CONSUMED
        if not (
            evaluator.wants(short)
            or (failures and evaluator.wants("stage.failures"))
            or (states and any(map(evaluator.wants, _states(short))))
        ):
            continue
        for value, attributes in look.numbers(metric):
            key = _key(attributes)
            _add(found, (short, *key), value)
            if states:
                state = f"{short}.{attributes[_names.WORKER_STATE]}"
                _add(found, (state, *key), value)
            elif failures and attributes[_names.OUTCOME] in _names.ERRORS:
                _add(found, ("stage.failures", *key), value)
    for stage, reading in look.stages:
        totals = reading.totals
        parts = [totals, *totals.failures.values()]
        key = (stage.pipeline.name, stage.name)
        count = sum(part.count for part in parts)
        _add(found, ("stage.process.duration.count", *key), count)
        seconds = sum(part.sum for part in parts) / NANOSECONDS
        _add(found, ("stage.process.duration.sum", *key), seconds)
    return found


def _states(short: str) -> Iterator[str]:
    return (f"{short}.{state}" for state in _names.WORKER_STATES)


def _key(attributes: dict[str, Any]) -> tuple[str, str]:
    name = attributes.get(_names.STAGE) or attributes.get(_names.QUEUE, "")
    return attributes.get(_names.PIPELINE, ""), name


def _add(
    found: dict[tuple[str, str, str], float], key: tuple[str, str, str], value: float
) -> None:
    found[key] = found.get(key, 0.0) + value


class Graph:
    """Which stage takes from which queue, and which stages come after it."""

    def __init__(self) -> None:
        self._takers: dict[tuple[str, str], list[str]] = {}
        self._after: dict[tuple[str, str], set[str]] = {}
        for stage in REGISTRY.stages():
            for queue in list(stage.inputs):
                key = (stage.pipeline.name, queue)
                self._takers.setdefault(key, []).append(stage.name)
        for stage in REGISTRY.stages():
            pipeline = stage.pipeline.name
            after = self._after.setdefault((pipeline, stage.name), set())
            for queue in list(stage.outputs):
                after.update(self._takers.get((pipeline, queue), ()))
            after.update(stage.inner)

    def takers(self, pipeline: str, queue: str) -> list[str]:
        """Stages that take from a queue.

        Args:
            pipeline: Its pipeline.
            queue: Its name.
        """
        return self._takers.get((pipeline, queue), [])

    def downstream(self, pipeline: str, stages: list[str]) -> set[str]:
        """All stages that events reach after these.

        Args:
            pipeline: Their pipeline.
            stages: Their names.
        """
        reached: set[str] = set()
        open_ = list(stages)
        while open_:
            for one in self._after.get((pipeline, open_.pop()), ()):
                if one not in reached:
                    reached.add(one)
                    open_.append(one)
        return reached


def stack(pipeline: str, name: str) -> str | None:
    """Where the longest-running calls of a stage are now: one of them, or those stuck.

    Args:
        pipeline: Its pipeline.
        name: Its name.
    """
    found = []
    for stage in REGISTRY.stages():
        if (stage.pipeline.name, stage.name) == (pipeline, name):
            found += open_calls(stage, 0, _STACKS)
    if not found:
        return None
    # Those that began long after the longest are at work, not stuck as it is.
    stuck = [one for one in found if one.seconds > found[0].seconds / 2]
    return "\n".join(
        line
        for one in stuck
        for line in (f"{one.worker}, for {one.seconds:.3g} s:", *one.stack)
    )


def identity() -> dict[str, str]:
    """The labels ``job`` and ``instance``, as the collector's exporter gives them."""
    from stagelight._providers import PROVIDERS

    config = getattr(PROVIDERS.meter, "_sdk_config", None)
    attributes = getattr(getattr(config, "resource", None), "attributes", {})
    service = str(attributes.get("service.name", "unknown_service"))
    space = attributes.get("service.namespace")
    return {
        "job": f"{space}/{service}" if space else service,
        "instance": str(attributes.get("service.instance.id", os.getpid())),
    }
