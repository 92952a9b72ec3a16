"""What stagelight tells of itself, and what only the level detailed measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stagelight import _names, _own_names
from stagelight._budget import BUDGET
from stagelight._cells import NANOSECONDS
from stagelight._cost import telemetry_cost
from stagelight._detail import DETAIL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stagelight._metrics._look import Look

    _Numbers = Iterator[tuple[float, dict[str, str | bool]]]


def _time(_: Look) -> _Numbers:
    cost = telemetry_cost()
    yield cost.recording, {_own_names.PART: _own_names.RECORDING}
    yield cost.background, {_own_names.PART: _own_names.BACKGROUND}


def _share(_: Look) -> _Numbers:
    yield BUDGET.share, {}


def _detail(_: Look) -> _Numbers:
    for level in _own_names.LEVELS:
        yield int(level == DETAIL.level), {_own_names.LEVEL: level}


def _worker_cpu(look: Look) -> _Numbers:
    for stage, reading in look.stages:
        extra = reading.totals.extra
        if extra is not None:
            yield (
                extra.cpu / NANOSECONDS,
                {_names.PIPELINE: stage.pipeline.name, _names.STAGE: stage.name},
            )


#: Metric -> what reads its points.
OWN: Final[dict[str, Callable[[Look], Any]]] = {
    _names.WORKER_CPU.name: _worker_cpu,
    _own_names.TELEMETRY_TIME.name: _time,
    _own_names.TELEMETRY_SHARE.name: _share,
    _own_names.TELEMETRY_DETAIL.name: _detail,
}
