"""Whether the probe's log record ends where somebody can read it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from stagelight._doctor import _http
from stagelight._doctor._findings import FAILED, OK, WARNING
from stagelight._doctor._probe import EVENT, SERVICE

if TYPE_CHECKING:
    from stagelight._doctor._collector import Passed
    from stagelight._doctor._findings import Report
    from stagelight._doctor._probe import Probe

#: Exporters that keep nothing.
_NOWHERE: Final = ("debug", "nop", "logging")


def check(report: Report, passed: Passed, probe: Probe, loki: str) -> None:
    """Say whether logs end where somebody can read them.

    Args:
        report: Takes the findings.
        passed: What the collector did.
        probe: What was sent.
        loki: Address of a Loki that is asked as well; then nothing is said here.
    """
    if loki or "logs" not in probe.taken or not passed.seen:
        return
    stored = [
        name
        for name in passed.sent.get("logs", [])
        if name.partition("/")[0] not in _NOWHERE
    ]
    if stored:
        report.add("logs", OK, f"passed on by {', '.join(stored)}")
    elif not passed.failed.get("logs"):
        report.add(
            "logs",
            WARNING,
            "no log backend: the collector takes log records and shows them to nobody "
            "but its own output; Jaeger and Prometheus store none",
            "lead its logs pipeline to one, as LOGS_EXPORTERS in collector-config.yaml "
            "does; stagelight run --json-logs writes failed events to stderr meanwhile",
        )


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
