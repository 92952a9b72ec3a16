"""Promtool tests: what the evaluator of this process does, Prometheus has to do too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from stagelight import _names
from stagelight._promql import label
from stagelight.alerts._evaluator import Evaluator
from stagelight.alerts._sources import PROCESS, SOURCES, STAGE, Source
from stagelight.alerts._traces import QUIET, TRACES, healthy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stagelight.alerts._rule import Rule

    Case = tuple[dict[str, Callable[[float], float]], float]

INTERVAL: Final = 15.0
BASE: Final = {"job": "orders"}
_PIPELINE: Final = "orders"
_NAME: Final = "enrich"
#: Times around the moment at which telemetry that ended is missed, and which is after.
_ENDED: Final = ((855.0, False), (945.0, True))


def series(source: Source, instance: str) -> str:
    """One series that a source's selector selects.

    Args:
        source: The source.
        instance: Whose it is.
    """
    name, _, matchers = source.selector.partition("{")
    labels = {
        **BASE,
        "instance": instance,
        **dict(re.findall(r'(\w+)=~?"([^"|]*)', matchers)),
    }
    if source.scope != PROCESS:
        addressed = _names.STAGE if source.scope == STAGE else _names.QUEUE
        labels |= {label(_names.PIPELINE): _PIPELINE, label(addressed): _NAME}
    inside = ", ".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inside}}}"


def test(name: str, rules: Iterable[Rule], cases: dict[str, Case]) -> dict[str, Any]:
    """One test: the series, and what fires and ends when, to one interval.

    Args:
        name: Its name.
        rules: All rules of the file.
        cases: Name of an instance to its curves and their length in seconds.
    """
    evaluator = Evaluator(rules)
    values: dict[str, list[str]] = {}
    checks: list[tuple[float, str, dict[str, Any]]] = []
    ever: list[dict[str, str]] = []
    lengths = {instance: length for instance, (_, length) in cases.items()}
    for step in range(int(max(lengths.values()) / INTERVAL) + 1):
        now = step * INTERVAL
        for instance, (curves, length) in cases.items():
            base = {**BASE, "instance": instance}
            for source, curve in curves.items() if now <= length else ():
                if evaluator.wants(source):
                    value = curve(now)
                    evaluator.add(
                        now, source, value, pipeline=_PIPELINE, name=_NAME, base=base
                    )
                    column = series(SOURCES[source], instance)
                    values.setdefault(column, []).append(f"{value!r}")
        changes = evaluator.tick(now)
        ever += [one.labels for one in changes.fired]
        for one in (*changes.fired, *changes.resolved):
            fired = one in changes.fired
            checks += [
                _check(now - INTERVAL, one.labels, [one.labels] * (not fired)),
                _check(now + INTERVAL, one.labels, [one.labels] * fired),
            ]
        for instance, length in lengths.items():
            if 0 <= length - now < INTERVAL:
                mine = {"instance": instance}
                found = [
                    one.labels
                    for one in evaluator.standing()
                    if one.labels.get("instance") == instance
                ]
                own = [one for one in ever if one.get("instance") == instance]
                checks += [
                    _check(now, mine, found),
                    _check(now, mine, own, over="5h"),
                ]
    return {
        "name": name,
        "interval": f"{INTERVAL:.0f}s",
        "input_series": [
            {"series": column, "values": " ".join(row)}
            for column, row in values.items()
        ],
        "promql_expr_test": [
            check
            for time, instance, check in checks
            if time <= lengths.get(instance, 0.0)
        ],
    }


def _check(
    now: float, labels: dict[str, str], firing: list[dict[str, str]], over: str = ""
) -> tuple[float, str, dict[str, Any]]:
    """Which alerts with these labels fire at a time, or fired since, and whose."""
    matchers = [f'{key}="{value}"' for key, value in labels.items()]
    matchers.append('alertstate="firing"')
    query, name = f"ALERTS{{{', '.join(matchers)}}}", "ALERTS"
    if over:
        query, name = f"max_over_time({query}[{over}])", ""
    content = {
        "expr": query,
        "eval_time": f"{now:.0f}s",
        "exp_samples": [
            {"labels": f"{name}{_braces({**one, 'alertstate': 'firing'})}", "value": 1}
            for one in firing
        ],
    }
    return now, labels.get("instance", ""), content


def _braces(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def tests(rules: Iterable[Rule], file: str) -> dict[str, Any]:
    """A whole test file for the rules as they are by default.

    Args:
        rules: The rules of the file.
        file: Where it is, from the test file.
    """
    rules = list(rules)
    known = {(rule.name, rule.severity) for rule in rules}
    loud = {
        f"{name} {severity}": ({**healthy(), **curves}, length)
        for (name, severity), (curves, length) in TRACES.items()
        if (name, severity) in known
    }
    quiet = {
        name: ({**healthy(), **curves}, length)
        for name, (curves, length) in QUIET.items()
    }
    alive = {name: curve for name, curve in healthy().items() if name == "stage.active"}
    return {
        "rule_files": [file],
        "evaluation_interval": f"{INTERVAL:.0f}s",
        "tests": [
            test("each rule fires, and others do not", rules, {**loud, **quiet}),
            _missing(alive, {"PipelineTelemetryMissing"} <= {r.name for r in rules}),
        ],
    }


def _missing(alive: dict[str, Callable[[float], float]], loud: bool) -> dict[str, Any]:  # noqa: FBT001
    """Telemetry that ends after five minutes is missed ten minutes later."""
    labels = {"alertname": "PipelineTelemetryMissing", "severity": "critical"}
    checks = [_check(now, labels, [labels] * (loud and late)) for now, late in _ENDED]
    rows = [
        {"series": series(SOURCES[source], "one"), "values": "1x20"} for source in alive
    ]
    return {
        "name": "no telemetry",
        "interval": f"{INTERVAL:.0f}s",
        "input_series": rows,
        "promql_expr_test": [check for _, _, check in checks],
    }
