"""The collector's own counters: what it took, and where it passed it on."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stagelight._doctor import _http
from stagelight._doctor._findings import FAILED, OK, SKIPPED, WARNING

if TYPE_CHECKING:
    from stagelight._doctor._findings import Report
    from stagelight._doctor._probe import Probe

_HOP: Final = "collector"
_ITEMS: Final = {"traces": "spans", "metrics": "metric_points", "logs": "log_records"}
_SERIES: Final = re.compile(r"^otelcol_(\w+?)(?:_total)?\{(.*?)\} (\S+)", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
#: Exporters that keep nothing.
_NOWHERE: Final = ("debug", "nop", "logging")
#: Seconds in which a working collector passes on what it took.
_PATIENCE: Final = 5.0

Counters = dict[tuple[str, str], float]


@dataclass
class Passed:
    """What the collector did with the probe.

    Attributes:
        seen: Whether its counters can be read.
        sent: Exporters that sent something on, by signal.
        failed: Exporters that could not, by signal.
        waiting: Exporters whose queue still holds something.
    """

    seen: bool = False
    sent: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)


def read(url: str) -> Counters:
    """The counters by name and component.

    Args:
        url: Where the collector shows them.

    Raises:
        BackendError: They cannot be read.
    """
    found: Counters = {}
    for name, labels, value in _SERIES.findall(_http.get(url, accept="text/plain")):
        names = dict(_LABEL.findall(labels))
        component = names.get("exporter") or names.get("receiver") or ""
        key = (name, component)
        found[key] = found.get(key, 0.0) + float(value)
    if not found:
        raise _http.BackendError("no series named otelcol_* is there")
    return found


def check(
    report: Report, url: str, before: Counters | None, probe: Probe, *, asked: bool
) -> Passed:
    """Say what the collector did with the probe.

    Args:
        report: Takes the findings.
        url: Where the collector shows its counters, "" not to look.
        before: What they were before the probe; None where they could not be read.
        probe: What was sent.
        asked: Whether the user named the URL.
    """
    passed = Passed()
    if not url or not probe.taken:
        return passed
    try:
        if before is None:
            before = {}
            read(url)
        after = _settled(url, before, probe)
    except _http.BackendError as error:
        report.add(
            _HOP,
            FAILED if asked else SKIPPED,
            f"its own counters cannot be read at {url}: {error}",
            "name their address with --collector, or leave them out with "
            "--collector none; service::telemetry::metrics of the collector sets it",
        )
        return passed
    passed.seen = True
    grown = _grown(before, after)
    for signal in sorted(probe.taken, key=list(_ITEMS).index):
        _tell(report, passed, signal, grown)
    passed.waiting = [
        component
        for (name, component), value in after.items()
        if name == "exporter_queue_size" and value > 0
    ]
    for component in passed.waiting:
        report.add(
            _HOP,
            WARNING,
            f"the queue before {component} is not empty: its backend is slow or away",
            f"see the collector's log for {component}",
        )
    return passed


def _settled(url: str, before: Counters, probe: Probe) -> Counters:
    """The counters once everything that was taken is on its way."""

    def look() -> Counters | None:
        now = read(url)
        grown = _grown(before, now)
        done = all(
            _components(grown, "exporter_sent", signal)
            or _components(grown, "exporter_send_failed", signal)
            for signal in probe.taken
        )
        queued = any(
            value > 0 for (name, _), value in now.items() if name.endswith("queue_size")
        )
        return now if done and not queued else None

    return _http.poll(look, time.monotonic() + _PATIENCE) or read(url)


def _grown(before: Counters, after: Counters) -> Counters:
    return {
        key: value - before.get(key, 0.0)
        for key, value in after.items()
        if value > before.get(key, 0.0)
    }


def _components(grown: Counters, what: str, signal: str) -> list[str]:
    wanted = f"{what}_{_ITEMS[signal]}"
    return sorted(component for name, component in grown if name == wanted)


def _tell(report: Report, passed: Passed, signal: str, grown: Counters) -> None:
    items = _ITEMS[signal]
    words = items.replace("_", " ")
    taken = sum(
        value
        for (name, _), value in grown.items()
        if name == f"receiver_accepted_{items}"
    )
    if _components(grown, "receiver_refused", signal):
        report.add(
            _HOP,
            FAILED,
            f"it refused {words}: its memory_limiter or a pipeline behind it said no",
            "give it more memory, or see its log",
        )
    lost = [
        *_components(grown, "exporter_send_failed", signal),
        *_components(grown, "exporter_enqueue_failed", signal),
    ]
    passed.failed[signal] = lost
    for component in dict.fromkeys(lost):
        report.add(
            _HOP,
            FAILED,
            f"its exporter {component} could not send {words} on",
            f"see the collector's log for {component}, and that its backend runs",
        )
    passed.sent[signal] = _components(grown, "exporter_sent", signal)
    if not taken:
        report.add(
            _HOP,
            WARNING,
            f"it counted no {words}, though somebody took them: another collector?",
            "name the counters of the one that OTEL_EXPORTER_OTLP_ENDPOINT leads to "
            "with --collector",
        )
    elif passed.sent[signal]:
        report.add(
            _HOP,
            OK,
            f"took {taken:,.0f} {words}, sent on by {', '.join(passed.sent[signal])}",
        )
    elif not lost:
        report.add(
            _HOP,
            WARNING,
            f"took {taken:,.0f} {words} and has sent none of them on yet",
            f"see its log, and that a pipeline for {signal} has an exporter",
        )


def check_logs(report: Report, passed: Passed, probe: Probe, loki: str) -> None:
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
