"""What is told of an alert: names, numbers, time left, and what to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from stagelight import _names
from stagelight.alerts._binding import value as value_of
from stagelight.alerts._evaluator import FIRING, QUEUE_LABEL, STAGE_LABEL
from stagelight.alerts._expressions import Range

if TYPE_CHECKING:
    from stagelight.alerts._evaluator import Standing

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0


@dataclass(frozen=True)
class Notice:
    """One alert that began or ended, as every target is told of it.

    Attributes:
        name: ``alertname``.
        severity: ``warning`` or ``critical``.
        state: ``firing`` or ``resolved``.
        pipeline: Its pipeline, "" for the process.
        stage: The stage at fault; for a queue, the one that takes from it.
        queue: The queue, "" where it is about none.
        labels: Its identity, the same as Prometheus gives it.
        value: What was measured.
        limit: What it was compared with, None where that has no number.
        left: Seconds until the limit at this pace, None where it is no trend.
        summary: One line.
        description: What it means, and what to look at.
        cause: What is probably wrong.
        runbook: What to do, as an address.
        began: When it fired, in seconds since the epoch.
        ended: When it was resolved, None while it fires.
        stack: Where the stage's longest call is, where that is of use.
        victims: Alerts that it explains.
        explained_by: The alert that explains it, so that it is not told by itself.
    """

    name: str
    severity: str
    state: str
    pipeline: str
    stage: str
    queue: str
    labels: dict[str, str]
    value: float
    limit: float | None
    left: float | None
    summary: str
    description: str
    cause: str
    runbook: str
    began: float
    ended: float | None = None
    stack: str | None = None
    victims: list[str] = field(default_factory=list)
    explained_by: str = ""

    def attributes(self) -> dict[str, str]:
        """The attributes of its metric."""
        found = {
            _names.ALERT: self.name,
            _names.SEVERITY: self.severity,
            _names.PIPELINE: self.pipeline,
            _names.STAGE: "" if self.queue else self.stage,
            _names.QUEUE: self.queue,
        }
        return {key: value for key, value in found.items() if value}

    def document(self) -> dict[str, Any]:
        """Plain data for a page, a webhook or a callback in another process."""
        return {
            "name": self.name,
            "severity": self.severity,
            "state": self.state,
            "pipeline": self.pipeline,
            "stage": self.stage,
            "queue": self.queue,
            "labels": self.labels,
            "value": self.value,
            "limit": self.limit,
            "seconds_left": self.left,
            "summary": self.summary,
            "description": self.description,
            "cause": self.cause,
            "runbook_url": self.runbook,
            "began": self.began,
            "ended": self.ended,
            "stack": self.stack,
            "victims": self.victims,
            "explained_by": self.explained_by,
            "attributes": self.attributes(),
        }


def shown(value: float, unit: str) -> str:
    """A value for people.

    Args:
        value: The value.
        unit: ``share``, ``seconds``, ``bytes`` or ``number``.
    """
    if unit == "share":
        return f"{value:.1%}"
    if unit == "seconds":
        return duration(value)
    if unit == "bytes":
        return f"{value / 2**20:,.0f} MiB"
    return f"{value:,.4g}"


def duration(seconds: float) -> str:
    """A duration for people.

    Args:
        seconds: At least 0.
    """
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.3g} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"


def notice(standing: Standing, now: float, takers: list[str]) -> Notice:
    """What to tell of an alert now.

    Args:
        standing: The alert.
        now: Time in seconds.
        takers: Stages that take from its queue, where it is about one.
    """
    rule, labels = standing.rule, standing.labels
    queue = labels.get(QUEUE_LABEL, "")
    stage = labels.get(STAGE_LABEL, "") or ", ".join(takers)
    summary, description = rule.words(
        at=standing.name, value=shown(standing.value, rule.unit)
    )
    left = _left(standing, now)
    if queue and stage:
        summary += f", before stage {stage}"
    if left is not None and standing.state == FIRING:
        summary += f": {duration(left)} left"
    compared = rule.limit()
    limit = None if compared is None else value_of(compared, standing.entity, now)
    return Notice(
        name=rule.name,
        severity=rule.severity,
        state=standing.state,
        pipeline=standing.pipeline,
        stage=stage,
        queue=queue,
        labels=labels,
        value=standing.value,
        limit=limit if limit == limit else None,  # noqa: PLR0124 - not NaN
        left=left,
        summary=summary,
        description=description,
        cause=rule.cause,
        runbook=rule.runbook,
        began=standing.fired or now,
        ended=standing.ended,
    )


def _left(standing: Standing, now: float) -> float | None:
    """Seconds until the prediction's value reaches its limit."""
    trend = standing.rule.trend()
    if trend is None:
        return None
    _, limit, ahead = trend
    entity = standing.entity
    slope = value_of(Range("slope", ahead.inner, ahead.window), entity, now)
    level = value_of(Range("ahead", ahead.inner, ahead.window), entity, now)
    room = value_of(limit, entity, now) - level
    return max(room, 0.0) / slope if slope > 0 and room == room else None  # noqa: PLR0124
