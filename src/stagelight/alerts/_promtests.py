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

INTERVAL: Final = 15.0
BASE: Final = {"job": "orders", "instance": "one"}
_PIPELINE: Final = "orders"
_NAME: Final = "enrich"


def series(source: Source) -> str:
    """One series that a source's selector selects.

    Args:
        source: The source.
    """
    name, _, matchers = source.selector.partition("{")
    labels = {**BASE, **dict(re.findall(r'(\w+)=~?"([^"|]*)', matchers))}
    if source.scope != PROCESS:
        addressed = _names.STAGE if source.scope == STAGE else _names.QUEUE
        labels |= {label(_names.PIPELINE): _PIPELINE, label(addressed): _NAME}
    inside = ", ".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{inside}}}"


def test(
    name: str,
    rules: Iterable[Rule],
    curves: dict[str, Callable[[float], float]],
    length: float,
) -> dict[str, Any]:
    """One test: the series, and what fires and ends when, to one interval.

    Args:
        name: Its name.
        rules: All rules of the file.
        curves: Source to its value by time.
        length: Seconds.
    """
    evaluator = Evaluator(rules)
    wanted = {name: curve for name, curve in curves.items() if evaluator.wants(name)}
    values: dict[str, list[str]] = {name: [] for name in wanted}
    checks: list[dict[str, Any]] = []
    for step in range(int(length / INTERVAL) + 1):
        now = step * INTERVAL
        for source, curve in wanted.items():
            value = curve(now)
            values[source].append(f"{value!r}")
            evaluator.add(now, source, value, pipeline=_PIPELINE, name=_NAME, base=BASE)
        changes = evaluator.tick(now)
        for one in (*changes.fired, *changes.resolved):
            fired = one in changes.fired
            checks += [
                _check(now - INTERVAL, one.labels, firing=not fired),
                _check(now + INTERVAL, one.labels, firing=fired),
            ]
    firing = [one.labels for one in evaluator.standing()]
    checks.append(_check(length, {}, everything=firing))
    return {
        "name": name,
        "interval": f"{INTERVAL:.0f}s",
        "input_series": [
            {"series": series(SOURCES[source]), "values": " ".join(column)}
            for source, column in values.items()
        ],
        "promql_expr_test": [one for one in checks if one["time"] <= length],
    }


def _check(
    now: float,
    labels: dict[str, str],
    *,
    firing: bool = False,
    everything: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    """Which alerts of a name, or of all, fire at a time."""
    matchers = [f'{key}="{value}"' for key, value in labels.items()]
    matchers.append('alertstate="firing"')
    query = f"ALERTS{{{', '.join(matchers)}}}"
    found = everything if everything is not None else [labels] * firing
    return {
        "time": now,
        "expr": query,
        "eval_time": f"{now:.0f}s",
        "exp_samples": [
            {"labels": f"ALERTS{_braces({**one, 'alertstate': 'firing'})}", "value": 1}
            for one in found
        ],
    }


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
    content = [
        test(f"{name} ({severity})", rules, {**healthy(), **curves}, length)
        for (name, severity), (curves, length) in TRACES.items()
        if (name, severity) in known
    ]
    content += [
        test(name, rules, {**healthy(), **curves}, length)
        for name, (curves, length) in QUIET.items()
    ]
    for one in content:
        for check in one["promql_expr_test"]:
            del check["time"]
    return {
        "rule_files": [file],
        "evaluation_interval": f"{INTERVAL:.0f}s",
        "tests": content,
    }
