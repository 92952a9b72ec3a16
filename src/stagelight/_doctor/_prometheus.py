"""The probe's metrics in Prometheus: their values, their exemplars, and the rules."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from stagelight import _names
from stagelight._doctor import _http, _rules
from stagelight._doctor._ask import Prometheus
from stagelight._doctor._findings import FAILED, OK, SKIPPED, WARNING
from stagelight._doctor._probe import EVENTS, PIPELINE
from stagelight._promql import label, series
from stagelight._secrets import redact

if TYPE_CHECKING:
    from stagelight._doctor._findings import Report
    from stagelight._doctor._probe import Probe

_HOP: Final = "prometheus"
_COUNTER: Final = series(_names.CONSUMED)
_HISTOGRAM: Final = f"{series(_names.PROCESS_DURATION)}_bucket"
#: Seconds in which a scrape that brought the counter has brought the rest.
_MOMENT: Final = 2.0
#: Seconds in which a starting Prometheus finds its Alertmanagers.
_DISCOVERY: Final = 6.0
_FLAG: Final = "exemplar-storage"


def check(  # noqa: PLR0913 - one look at one backend
    report: Report,
    url: str,
    probe: Probe,
    deadline: float,
    *,
    delta: bool,
    patience: float,
    sure: bool,
) -> None:
    """Say whether the probe's metrics are in Prometheus, and what is there to alert.

    Args:
        report: Takes the findings.
        url: Prometheus's address, "" not to look.
        probe: What was sent.
        deadline: On the monotonic clock.
        delta: Whether metrics are sent as differences.
        patience: Seconds from now to the deadline, for the report.
        sure: Whether it must be there.
    """
    if not url:
        return
    server = Prometheus(url)
    try:
        server.ask("status/flags")
    except _http.BackendError as error:
        report.add(
            _HOP,
            FAILED if sure else SKIPPED,
            f"cannot be asked at {url}: {error}",
            "start Prometheus, name its address with --prometheus, or leave it out "
            "with --prometheus none",
        )
        return
    try:
        if "metrics" in probe.taken:
            if _values(report, server, probe, deadline, delta=delta, patience=patience):
                _exemplars(report, server, probe, delta=delta)
        else:
            report.add(_HOP, SKIPPED, "not asked: the probe's metrics did not get out")
        _rules.check(report, server)
        _alertmanagers(report, server)
    except _http.BackendError as error:
        report.add(_HOP, FAILED, f"answered an error: {error}", "see its log")


def _values(  # noqa: PLR0913 - as above
    report: Report,
    server: Prometheus,
    probe: Probe,
    deadline: float,
    *,
    delta: bool,
    patience: float,
) -> bool:
    """Whether the counter got there."""
    id_ = probe.instance
    query = (
        f'{_COUNTER}{{instance="{id_}"}} or {_COUNTER}{{exported_instance="{id_}"}}'
        f' or {_COUNTER}{{service_instance_id="{id_}"}}'
    )
    last: list[tuple[dict[str, str], float]] = []

    def look() -> bool | None:
        last[:] = server.vector(query)
        return True if last and last[0][1] == EVENTS else None

    _http.poll(look, deadline)
    if not last:
        _explain_absence(report, server, delta=delta, patience=patience)
        return False
    labels, value = last[0]
    if value != EVENTS:
        report.add(
            _HOP,
            FAILED,
            f"shows {value:.0f} of {EVENTS} events in {_COUNTER}"
            + (": metrics are sent as differences" if delta else ""),
            "set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative, or put "
            "a deltatocumulative processor before Prometheus",
        )
        return True
    report.add(_HOP, OK, f"shows {value:.0f} events in {_COUNTER}")
    graph = urlencode({"g0.expr": f'{_COUNTER}{{job="{probe.job}"}}', "g0.tab": "0"})
    report.links["metric"] = redact(f"{server.url}/graph?{graph}")
    if delta:
        report.add(
            _HOP,
            WARNING,
            "metrics are sent as differences, which Prometheus does not know: somebody "
            "on the way adds them up, and starts anew whenever it restarts",
            "set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative",
        )
    if labels.get("exported_instance") == id_:
        report.add(
            _HOP,
            WARNING,
            "calls the program's instance exported_instance: rules and dashboards that "
            "look for instance and job find the collector instead",
            "set honor_labels: true in the scrape of the collector",
        )
    return True


def _explain_absence(
    report: Report, server: Prometheus, *, delta: bool, patience: float
) -> None:
    targets = server.ask("targets", {"state": "active"})["activeTargets"]
    down = [one for one in targets if one.get("health") == "down"]
    text = f"has no {_COUNTER} of the probe after {patience:.0f} s"
    if delta:
        report.add(
            _HOP,
            FAILED,
            f"{text}; metrics are sent as differences, which Prometheus does not take",
            "set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative",
        )
    elif down:
        one = down[0]
        report.add(
            _HOP,
            FAILED,
            f"{text}; it cannot scrape {one['scrapeUrl']}: {one.get('lastError')}",
            "see that the collector listens there, and that Prometheus reaches it: "
            "localhost inside a container is the container itself",
        )
    elif not targets:
        report.add(
            _HOP,
            FAILED,
            f"{text}; it scrapes nothing",
            "scrape the collector's Prometheus exporter, port 8889, as "
            "ops/prometheus.yml does",
        )
    else:
        shown = ", ".join(str(one["scrapeUrl"]) for one in targets)
        report.add(
            _HOP,
            FAILED,
            f"{text}; it scrapes {shown}",
            "see that the collector's Prometheus exporter (port 8889) is among these "
            "and in its metrics pipeline; a scrape interval above --timeout needs a "
            "longer one",
        )


def _exemplars(
    report: Report, server: Prometheus, probe: Probe, *, delta: bool
) -> None:
    """Whether a bucket leads to the probe's trace."""
    if not probe.trace_id:
        return
    window = {
        "query": f'{_HISTOGRAM}{{{label(_names.PIPELINE)}="{PIPELINE}"}}',
        "start": f"{probe.sent_at - 300:.3f}",
        "end": f"{time.time() + 60:.3f}",
    }

    def look() -> bool | None:
        found = server.ask("query_exemplars", window)
        ids = {
            exemplar["labels"].get("trace_id")
            for one in found
            for exemplar in one["exemplars"]
        }
        return True if probe.trace_id in ids else None

    if _http.poll(look, time.monotonic() + _MOMENT):
        report.add("exemplars", OK, "a bucket of the histogram leads to the trace")
        return
    features = server.ask("status/flags").get("enable-feature", "")
    if _FLAG not in features:
        report.add(
            "exemplars",
            WARNING,
            "Prometheus stores none: it was started without the flag for them",
            f"start Prometheus with --enable-feature={_FLAG}",
        )
    elif delta:
        report.add(
            "exemplars",
            WARNING,
            "none: the collector drops them where it adds up differences",
            "set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative",
        )
    else:
        report.add(
            "exemplars",
            WARNING,
            "Prometheus has none of the probe, though it would store them",
            "set enable_open_metrics: true in the collector's Prometheus exporter",
        )


def _alertmanagers(report: Report, server: Prometheus) -> None:
    def look() -> list[dict[str, str]] | None:
        found: list[dict[str, str]] = server.ask("alertmanagers")["activeAlertmanagers"]
        return found or None

    configured = "alertmanagers:" in server.ask("status/config")["yaml"]
    # Just after its start Prometheus has not looked for them yet.
    wait = _DISCOVERY if configured else 0.0
    active = _http.poll(look, time.monotonic() + wait)
    if active:
        shown = ", ".join(one["url"].partition("/api/")[0] for one in active)
        report.add("alertmanager", OK, f"Prometheus sends alerts to {shown}")
    else:
        report.add(
            "alertmanager",
            WARNING,
            "Prometheus knows no Alertmanager: alerts show on its page only",
            "name one in alerting of prometheus.yml",
        )
