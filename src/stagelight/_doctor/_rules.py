"""Whether Prometheus has the alert rules loaded: those in force here, one by one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from stagelight._doctor._findings import FAILED, OK, WARNING
from stagelight._errors import ConfigurationError

if TYPE_CHECKING:
    from stagelight._doctor._ask import Prometheus
    from stagelight._doctor._findings import Report
    from stagelight.alerts import Rule

_HOP: Final = "rules"
#: Metrics of a pipeline, not those of telemetry itself.
_OURS: Final = re.compile(
    r"stagelight_(?:stage|queue|worker|pipeline)_|process_gc_pause"
)
_LOAD: Final = (
    "stagelight rules -o rules/stagelight.yml, name that file in rule_files of "
    "prometheus.yml, and reload it"
)


def check(report: Report, server: Prometheus) -> None:
    """Say which of the rules in force are loaded, and which are not.

    Args:
        report: Takes the findings.
        server: The Prometheus.

    Raises:
        BackendError: It does not answer.
    """
    loaded = [
        rule for group in server.ask("rules")["groups"] for rule in group["rules"]
    ]
    ours = _of_pipelines(loaded)
    sick = [rule for rule in ours if rule.get("health") == "err"]
    for rule in sick:
        report.add(
            _HOP,
            FAILED,
            f"{rule.get('name')} cannot be evaluated: {rule.get('lastError')}",
            "correct it, or generate the rules anew",
        )
    alerts = [rule for rule in ours if rule.get("type") == "alerting"]
    if not alerts:
        report.add(
            _HOP,
            WARNING,
            "no alert on stages or queues is loaded: nobody will be told",
            _LOAD,
        )
        return
    try:
        wanted = _wanted()
    except ConfigurationError as error:
        report.add(_HOP, FAILED, str(error), "correct the setting")
        return
    complete = _compare(report, wanted, loaded)
    if not sick and complete:
        firing = [rule for rule in alerts if rule.get("state") == "firing"]
        named = ", ".join(dict.fromkeys(str(rule["name"]) for rule in firing))
        report.add(
            _HOP,
            OK,
            f"alerts loaded: {len(alerts)}"
            + (f"; firing now: {named}" if firing else ", none of them fires"),
        )


def _wanted() -> list[Rule]:
    """The rules in force here."""
    from stagelight import _config
    from stagelight.alerts._settings import load_rules

    return load_rules(_config.load().alerts)


def _compare(report: Report, wanted: list[Rule], loaded: list[dict[str, Any]]) -> bool:
    """Name what is missing, and what was made with other settings."""
    held: dict[tuple[str, str], list[float]] = {}
    for rule in loaded:
        if rule.get("type") == "alerting":
            severity = rule.get("labels", {}).get("severity", "")
            key = (str(rule.get("name")), severity)
            held.setdefault(key, []).append(float(rule.get("duration") or 0))
    missing, other = [], []
    for one in wanted:
        found = held.get((one.name, one.severity))
        if found is None:
            missing.append(f"{one.name} ({one.severity})")
        elif not any(abs(length - one.hold) < 1 for length in found):
            other.append(f"{one.name} (for {found[0]:.0f} s, here {one.hold:.0f} s)")
    if missing:
        missing = list(dict.fromkeys(missing))
        text = f"not loaded: {len(missing)} of the rules in force: {', '.join(missing)}"
        report.add(_HOP, WARNING, text, _LOAD)
    if other:
        text = f"loaded with other settings: {', '.join(dict.fromkeys(other))}"
        report.add(_HOP, WARNING, text, _LOAD)
    return not missing and not other


def _of_pipelines(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rules on what pipelines send, by themselves or by way of a recorded series."""
    found = [
        rule
        for rule in rules
        if _OURS.search(str(rule.get("query"))) and "absent(" not in rule["query"]
    ]
    recorded = [str(rule["name"]) for rule in found if rule.get("type") == "recording"]
    return found + [
        rule
        for rule in rules
        if rule not in found and any(name in str(rule["query"]) for name in recorded)
    ]
