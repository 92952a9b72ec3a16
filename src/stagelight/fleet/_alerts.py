"""What a Prometheus alerts of a service: the rules that it evaluates itself."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from stagelight import _names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from stagelight.fleet._prometheus import Prometheus

_PIPELINE: Final = _names.PIPELINE.replace(".", "_")
_STAGE: Final = _names.STAGE.replace(".", "_")
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
