"""The probe's trace, read back from Jaeger's API v3, and its log record from Loki."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from stagelight._doctor import _http
from stagelight._doctor._findings import FAILED, OK, SKIPPED
from stagelight._doctor._probe import EVENT, SERVICE, STAGE
from stagelight._secrets import redact

if TYPE_CHECKING:
    from stagelight._doctor._collector import Passed
    from stagelight._doctor._findings import Report
    from stagelight._doctor._probe import Probe

_HOP: Final = "jaeger"
_NOT_FOUND: Final = 404
_EXPECTED: Final = f"process {STAGE}"


def check(
    report: Report, url: str, probe: Probe, passed: Passed, deadline: float
) -> None:
    """Say whether the probe's trace is in Jaeger.

    Args:
        report: Takes the findings.
        url: Jaeger's address, "" not to look.
        probe: What was sent.
        passed: What the collector did with it.
        deadline: On the monotonic clock.
    """
    if not url:
        return
    if "traces" not in probe.taken:
        report.add(_HOP, SKIPPED, "not asked: the probe's spans did not get out")
        return
    trouble: list[_http.BackendError] = []

    def look() -> list[str] | None:
        try:
            found = _http.get_json(f"{url}/api/v3/traces/{probe.trace_id}")
        except _http.BackendError as error:
            trouble[:] = [] if error.status == _NOT_FOUND else [error]
            return None
        names = _span_names(found)
        return names if _EXPECTED in names else None

    names = _http.poll(look, deadline)
    if names is not None:
        report.add(_HOP, OK, f"has the trace {probe.trace_id}: {', '.join(names)}")
        report.links["trace"] = redact(f"{url}/trace/{probe.trace_id}")
    elif trouble:
        report.add(
            _HOP,
            FAILED,
            f"cannot be asked at {url}/api/v3: {trouble[0]}",
            "start Jaeger, name its address with --jaeger, or leave it out with "
            "--jaeger none",
        )
    elif passed.seen and not passed.sent.get("traces"):
        report.add(
            _HOP,
            FAILED,
            f"has no trace {probe.trace_id}: the collector has not sent it on",
            "see the collector's log, and JAEGER_OTLP_ENDPOINT in its environment",
        )
    else:
        report.add(
            _HOP,
            FAILED,
            f"has no trace {probe.trace_id}, though the spans were taken",
            "see that the collector's traces pipeline leads to this Jaeger, and that "
            "no sampler or filter stands in it",
        )


def _span_names(document: Any) -> list[str]:
    result = document.get("result", document) if isinstance(document, dict) else {}
    return [
        str(span.get("name"))
        for group in result.get("resourceSpans", [])
        for scoped in group.get("scopeSpans", [])
        for span in scoped.get("spans", [])
    ]


def check_loki(report: Report, url: str, probe: Probe, deadline: float) -> None:
    """Say whether the probe's log record is in Loki.

    Args:
        report: Takes the findings.
        url: Loki's address, "" not to look.
        probe: What was sent.
        deadline: On the monotonic clock.
    """
    if not url or "logs" not in probe.taken:
        return
    query = {
        "query": f'{{service_name="{SERVICE}"}} | trace_id="{probe.trace_id}"',
        "start": str(int((probe.sent_at - 60) * 1e9)),
        "end": str(int((time.time() + 60) * 1e9)),
    }
    trouble: list[_http.BackendError] = []

    def look() -> bool | None:
        try:
            found = _http.get_json(f"{url}/loki/api/v1/query_range", query)
        except _http.BackendError as error:
            trouble[:] = [error]
            return None
        trouble.clear()
        return True if found.get("data", {}).get("result") else None

    if _http.poll(look, deadline):
        report.add("logs", OK, f"Loki has the record {EVENT}, with its trace id")
    elif trouble:
        report.add(
            "logs",
            FAILED,
            f"Loki cannot be asked at {url}: {trouble[0]}",
            "start Loki, or name its address with --loki",
        )
    else:
        report.add(
            "logs",
            FAILED,
            "Loki has no record of the probe, though it was taken",
            "lead the collector's logs pipeline there (LOGS_EXPORTERS)",
        )
