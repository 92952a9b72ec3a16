"""The probe's trace, read back from Jaeger's API v3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stagelight._doctor import _http
from stagelight._doctor._findings import FAILED, OK, SKIPPED
from stagelight._doctor._probe import STAGE
from stagelight._secrets import redact

if TYPE_CHECKING:
    from stagelight._doctor._collector import Passed
    from stagelight._doctor._findings import Report
    from stagelight._doctor._probe import Probe

_HOP: Final = "jaeger"
_NOT_FOUND: Final = 404
_EXPECTED: Final = f"process {STAGE}"


def check(  # noqa: PLR0913 - one look at one backend
    report: Report,
    url: str,
    probe: Probe,
    passed: Passed,
    deadline: float,
    *,
    sure: bool,
) -> None:
    """Say whether the probe's trace is in Jaeger.

    Args:
        report: Takes the findings.
        url: Jaeger's address, "" not to look.
        probe: What was sent.
        passed: What the collector did with it.
        deadline: On the monotonic clock.
        sure: Whether it must be there.
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
            FAILED if sure else SKIPPED,
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
