"""The collector's own counters: what it took, and where it passed it on."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stagelight._doctor import _http
from stagelight._doctor._ask import Prometheus
from stagelight._doctor._findings import FAILED, OK, SKIPPED, WARNING

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._doctor._findings import Report
    from stagelight._doctor._probe import Probe

_HOP: Final = "collector"
_ITEMS: Final = {"traces": "spans", "metrics": "metric_points", "logs": "log_records"}
_SERIES: Final = re.compile(r"^otelcol_(\w+?)(?:_total)?\{(.*?)\} (\S+)", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
#: Seconds in which a working collector passes on what it took: an exporter whose first
#: attempt failed, as just after a start, tries again within seven and a half.
_PATIENCE: Final = 9.0

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


@dataclass
class Source:
    """Where the counters can be read.

    Attributes:
        read: Reads them now; raises ``BackendError``.
        patience: Seconds after which they show what the collector did.
        before: What they were before the probe.
    """

    read: Callable[[], Counters]
    patience: float
    before: Counters


def _sum_up(series: list[tuple[str, dict[str, str], float]]) -> Counters:
    """The counters by name and component, whichever labels they have beside."""
    found: Counters = {}
    for name, labels, value in series:
        component = labels.get("exporter") or labels.get("receiver") or ""
        key = (name, component)
        found[key] = found.get(key, 0.0) + value
    if not found:
        raise _http.BackendError("no series named otelcol_* is there")
    return found


def _directly(url: str) -> Counters:
    text = _http.get(url, accept="text/plain")
    return _sum_up(
        [
            (name, dict(_LABEL.findall(labels)), float(value))
            for name, labels, value in _SERIES.findall(text)
        ]
    )


def _by_prometheus(server: Prometheus) -> Counters:
    return _sum_up(
        [
            (
                labels["__name__"].removeprefix("otelcol_").removesuffix("_total"),
                labels,
                value,
            )
            for labels, value in server.vector('{__name__=~"otelcol_.+"}')
        ]
    )


def source(
    report: Report, url: str, prometheus: str, timeout: float, *, asked: bool
) -> Source | None:
    """Where the counters can be read: at the collector, else from its scrapes.

    Args:
        report: Takes a finding where it is nowhere.
        url: Where the collector shows its counters, "" not to look.
        prometheus: Address of a Prometheus that may scrape them, "" for none.
        timeout: Seconds after which a scrape has brought them.
        asked: Whether the user named the URL.
    """
    if not url:
        return None
    try:
        return Source(lambda: _directly(url), _PATIENCE, _directly(url))
    except _http.BackendError as error:
        if prometheus and not asked:
            server = Prometheus(prometheus)
            with suppress(_http.BackendError):
                before = _by_prometheus(server)
                return Source(lambda: _by_prometheus(server), timeout, before)
        report.add(
            _HOP,
            FAILED if asked else SKIPPED,
            f"its own counters cannot be read at {url}: {error}",
            "name their address with --collector, or leave them out with "
            "--collector none; service::telemetry::metrics of the collector sets it",
        )
    return None


def check(report: Report, counters: Source | None, probe: Probe) -> Passed:
    """Say what the collector did with the probe.

    Args:
        report: Takes the findings.
        counters: Where to read its counters, None not to look.
        probe: What was sent.
    """
    passed = Passed()
    if counters is None or not probe.taken:
        return passed
    before = counters.before
    try:
        after = _settled(counters, probe)
    except _http.BackendError as error:
        report.add(_HOP, FAILED, f"its counters are gone: {error}", "see its log")
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


def _settled(counters: Source, probe: Probe) -> Counters:
    """The counters once everything that was taken is on its way."""

    def look() -> Counters | None:
        now = counters.read()
        grown = _grown(counters.before, now)
        # What was sent on may be somebody's from before, which was counted as it came.
        done = all(
            _components(grown, "receiver_accepted", signal)
            and (
                _components(grown, "exporter_sent", signal)
                or _components(grown, "exporter_send_failed", signal)
            )
            for signal in probe.taken
        )
        queued = any(
            value > 0 for (name, _), value in now.items() if name.endswith("queue_size")
        )
        return now if done and not queued else None

    deadline = time.monotonic() + counters.patience
    return _http.poll(look, deadline) or counters.read()


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
