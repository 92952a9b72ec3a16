"""Probe answers as health+json (draft-inadarei-api-health-check-06)."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stagelight.health import HealthReport
    from stagelight.health._monitor import Monitor
    from stagelight.health._report import Item

HEALTH_JSON: Final = "application/health+json"
#: Path -> the field of a verdict that it tells.
PROBES: Final = {"livez": "live", "readyz": "ready", "startupz": "startup"}
#: Seconds after which the verdict is too old to be believed.
STALE: Final = 30.0
_MARKS: Final = {"pass": "+", "warn": "~", "fail": "-"}


def probe_of(path: str) -> tuple[str, str] | None:
    """Probe and check of a path, or None where it is no probe's.

    Args:
        path: Such as ``/readyz`` or ``/readyz/database``.
    """
    name, _, check = path.strip("/").partition("/")
    return (name, unquote(check)) if name in PROBES else None


def answer(
    monitor: Monitor, probe: str, check: str = "", query: bytes = b"", accept: str = ""
) -> tuple[int, str, bytes]:
    """Status, media type and body of a probe.

    Args:
        monitor: Whose verdict it is.
        probe: ``livez``, ``readyz`` or ``startupz``.
        check: One check alone; "" for all.
        query: ``verbose`` tells all checks, ``exclude=NAME`` leaves one out.
        accept: A request for ``text/plain`` gets one line for each check.
    """
    report = monitor.report()
    field = PROBES[probe]
    asked = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    items = [one for one in report.items if getattr(one, field) is not None]
    status = getattr(report, field)
    left_out = set(asked.get("exclude", ()))
    if check:
        items = [one for one in items if one.name == check]
        if not items:
            return _unknown(report, field, check)
    if check or left_out:
        items = [one for one in items if one.name not in left_out]
        status = _worst(getattr(one, field) for one in items)
    stale = _staleness(monitor)
    if stale and status == "pass":
        status = "warn"
    # A warning passes, as the draft asks for.
    code = 503 if status == "fail" else 200
    verbose = "verbose" in asked or bool(check)
    if verbose and "text/plain" in accept:
        return code, "text/plain; charset=utf-8", _lines(items, field, probe, status)
    body: dict[str, Any] = {"status": status}
    if status != "pass":
        body["output"] = stale or _output(items, field, report)
    if verbose:
        body["description"] = f"{report.state}: {report.reason}"
        body["checks"] = _checks(items, field)
    return code, HEALTH_JSON, json.dumps(body, ensure_ascii=False).encode()


def _worst(values: Iterable[str]) -> str:
    found = set(values)
    return next((one for one in ("fail", "warn") if one in found), "pass")


def _staleness(monitor: Monitor) -> str:
    age = monitor.age
    if age <= STALE:
        return ""
    return f"the verdict is {age:.0f} s old: its thread did not run"


def _output(items: list[Item], field: str, report: HealthReport) -> str:
    for status in ("fail", "warn"):
        for one in items:
            if getattr(one, field) == status:
                return f"{one.name}: {one.output}" if one.output else one.name
    return report.reason


def _checks(items: list[Item], field: str) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for one in items:
        entry: dict[str, Any] = {
            "componentType": one.kind,
            "status": getattr(one, field),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one.time)),
        }
        if one.value is not None:
            entry["observedValue"] = round(one.value, 6)
            if one.unit:
                entry["observedUnit"] = one.unit
        if one.output:
            entry["output"] = one.output
        found[one.name] = [entry]
    return found


def _lines(items: list[Item], field: str, probe: str, status: str) -> bytes:
    lines = []
    for one in items:
        mark = _MARKS[getattr(one, field)]
        lines.append(f"[{mark}]{one.name} {one.output or 'ok'}")
    lines.append(f"{probe} check {'failed' if status == 'fail' else 'passed'}")
    return ("\n".join(lines) + "\n").encode()


def _unknown(report: HealthReport, field: str, check: str) -> tuple[int, str, bytes]:
    known = [one.name for one in report.items if getattr(one, field) is not None]
    text = f"no check {check[:80]!r} here; there are {', '.join(known)}"
    return 404, HEALTH_JSON, json.dumps({"status": "fail", "output": text}).encode()
