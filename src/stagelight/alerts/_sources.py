"""What a rule may look at: each name, whose it is, and the series that carries it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stagelight import _names
from stagelight._promql import label, series

STAGE: Final = "stage"
QUEUE: Final = "queue"
PROCESS: Final = "process"
ALL: Final = "all"

#: Labels of an alert, by what it is about: the same on every path.
LABELS: Final = {
    ALL: (),
    PROCESS: ("job", "instance"),
    STAGE: ("job", "instance", label(_names.PIPELINE), label(_names.STAGE)),
    QUEUE: ("job", "instance", label(_names.PIPELINE), label(_names.QUEUE)),
}


@dataclass(frozen=True)
class Source:
    """One name of the rule language.

    Attributes:
        name: As it is written in rules and, behind ``stagelight.``, in recordings.
        scope: ``stage``, ``queue`` or ``process``.
        counter: Whether it only grows.
        selector: The PromQL selector of its series.
        together: How several series of one stage make one value.
    """

    name: str
    scope: str
    counter: bool
    selector: str
    together: str


def _scope(metric: _names.Metric) -> str:
    if _names.STAGE in metric.attributes:
        return STAGE
    return QUEUE if _names.QUEUE in metric.attributes else PROCESS


def _plain(metric: _names.Metric) -> Source:
    counter = metric.kind == _names.COUNTER
    return Source(
        metric.name.removeprefix("stagelight."),
        _scope(metric),
        counter,
        series(metric),
        "max" if metric.kind == _names.GAUGE else "sum",
    )


def _part(
    name: str, metric: _names.Metric, suffix: str = "", matcher: str = ""
) -> Source:
    chosen = f"{{{matcher}}}" if matcher else ""
    counter = metric.kind in {_names.COUNTER, _names.HISTOGRAM}
    return Source(
        name, _scope(metric), counter, f"{series(metric)}{suffix}{chosen}", "sum"
    )


def _parts() -> list[Source]:
    errors = "|".join(sorted(_names.ERRORS))
    found = [
        _part(
            "stage.failures",
            _names.CONSUMED,
            matcher=f'{label(_names.OUTCOME)}=~"{errors}"',
        )
    ]
    for state in _names.WORKER_STATES:
        matcher = f'{label(_names.WORKER_STATE)}="{state}"'
        found += [
            _part(f"worker.time.{state}", _names.WORKER_TIME, matcher=matcher),
            _part(f"worker.count.{state}", _names.WORKER_COUNT, matcher=matcher),
        ]
    for metric in (_names.PROCESS_DURATION, _names.WAIT_DURATION):
        name = metric.name.removeprefix("stagelight.")
        found += [_part(f"{name}.{end}", metric, f"_{end}") for end in ("count", "sum")]
    return found


_SINGLE: Final = [
    metric
    for metric in _names.METRICS
    if metric.kind != _names.HISTOGRAM and metric is not _names.ALERT_STATUS
]
SOURCES: Final = {source.name: source for source in (*map(_plain, _SINGLE), *_parts())}
