"""What a Prometheus alerts of a service: the rules that it evaluates itself."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from stagelight import _names
from stagelight._promql import label, series

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from stagelight.fleet._prometheus import Point, Prometheus

_ALERT: Final = series(_names.ALERT_STATUS)
_PIPELINE: Final = label(_names.PIPELINE)
_STAGE: Final = label(_names.STAGE)
_GRAVEST: Final = ("critical", "warning")


def evaluated(
    prometheus: Prometheus, service: str, pipelines: Collection[str]
) -> list[dict[str, Any]]:
    """The alerts that fire for a service or one of its pipelines, the gravest first.

    Args:
        prometheus: Who evaluates them.
        service: Name of the service, as ``service_name``, or as ``job``.
        pipelines: Names of its pipelines.
    """
    found = [
        _alert(one)
        for one in prometheus.alerts()
        if one.get("state") == "firing"
        and _is_about(one.get("labels", {}), service, pipelines)
    ]
    return sorted(found, key=lambda one: (_rank(one["severity"]), one["name"]))


def said(points: list[Point]) -> list[dict[str, Any]]:
    """The alerts that processes say to fire, the gravest first.

    Args:
        points: Series of now.
    """
    found = []
    for one in points:
        if one.name != _ALERT or not one.value:
            continue
        place = one.labels.get(label(_names.STAGE)) or one.labels.get(
            label(_names.QUEUE), ""
        )
        instance = one.labels.get("instance", "")
        found.append(
            {
                "name": one.labels.get(label(_names.ALERT), ""),
                "severity": one.labels.get(label(_names.SEVERITY), "warning"),
                "state": "firing",
                "pipeline": one.labels.get(label(_names.PIPELINE), ""),
                "stage": one.labels.get(label(_names.STAGE), ""),
                "instance": instance,
                "summary": f"{place or 'the process'}, says {instance}",
            }
        )
    return sorted(found, key=lambda one: (_rank(one["severity"]), one["name"]))


def together(
    found: list[dict[str, Any]], besides: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Both, each alert once, the gravest first.

    Args:
        found: What Prometheus has.
        besides: What processes say, which may be the same.
    """
    known = {(one["name"], one["pipeline"], one["stage"]) for one in found}
    new = [
        one
        for one in besides
        if (one["name"], one["pipeline"], one["stage"]) not in known
    ]
    both = [*found, *new]
    return sorted(both, key=lambda one: (_rank(one["severity"]), one["name"]))


def _is_about(
    labels: Mapping[str, str], service: str, pipelines: Collection[str]
) -> bool:
    job = labels.get("job", "")
    jobs = {labels.get("service_name"), job, job.rpartition("/")[2]}
    return service in jobs or labels.get(_PIPELINE) in pipelines


def _rank(severity: str) -> int:
    known = severity in _GRAVEST
    return _GRAVEST.index(severity) if known else len(_GRAVEST)


def _alert(one: Mapping[str, Any]) -> dict[str, Any]:
    labels, words = one.get("labels", {}), one.get("annotations", {})
    place = labels.get(_STAGE) or labels.get(_PIPELINE) or labels.get("instance", "")
    return {
        "name": labels.get("alertname", ""),
        "severity": labels.get("severity", "warning"),
        "state": "firing",
        "pipeline": labels.get(_PIPELINE, ""),
        "stage": labels.get(_STAGE, ""),
        "instance": labels.get("instance", ""),
        "summary": words.get("summary") or place,
        "description": words.get("description", ""),
        "runbook_url": words.get("runbook_url", ""),
        "began": _seconds(one.get("activeAt", "")),
    }


def _seconds(text: str) -> float | None:
    """Seconds since the epoch of a time as Go writes it, None where it is none."""
    try:
        # Go writes nanoseconds, of which Python 3.10 reads none and later ones six.
        whole, _, rest = text.partition(".")
        zone = rest.lstrip("0123456789") or "Z"
        if not rest:
            whole, zone = whole.rstrip("Z"), "Z"
        return datetime.fromisoformat(whole + zone.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
