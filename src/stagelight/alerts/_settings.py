"""The ``alerts`` setting: which rules are in force, and who is told.

::

    [tool.stagelight.alerts]
    scale = 1.0
    rules = ["queue.size > 50 for 1m on parsed"]
    alertmanager = "http://localhost:9093"

    [tool.stagelight.alerts.StageSaturated]
    share = "95%"

    [tool.stagelight.alerts."StageSaturated on render*"]
    enabled = false
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Union

from stagelight._errors import ConfigurationError
from stagelight._refusals import unknown_key
from stagelight.alerts._defaults import TEMPLATES, Template
from stagelight.alerts._rule import RUNBOOK, Rule, user_rule

#: The setting as it is read: on, off, or a table.
Given = Union[bool, Mapping[str, Any], None]  # noqa: UP007 - used at run time
_ADDRESSES: Final = ("alertmanager", "webhook", "slack")
_KEYS: Final = (
    *("enabled", "interval", "scale", "rules", "log", "runbooks"),
    *_ADDRESSES,
)


@dataclass(frozen=True)
class AlertSettings:
    """What the setting says.

    Attributes:
        rules: The rules in force, the gravest first.
        interval: Seconds between two evaluations.
        scale: What every duration of the rules was multiplied by.
        log: Whether alerts go to the logger ``stagelight.alerts``.
        targets: Kind of a target to its address.
        enabled: Whether they are evaluated in the process.
    """

    rules: tuple[Rule, ...]
    interval: float
    scale: float
    log: bool
    targets: dict[str, str]
    enabled: bool = True


def load_rules(given: Given, scale: float | None = None) -> list[Rule]:
    """The rules in force.

    Args:
        given: The setting.
        scale: Another time scale than it says.

    Raises:
        ConfigurationError: It cannot be right.
    """
    return list(read(given, scale).rules)


def read(given: Given, scale: float | None = None) -> AlertSettings:
    """What the setting says, checked.

    Args:
        given: The setting.
        scale: Another time scale than it says.

    Raises:
        ConfigurationError: A key or rule is unknown, or a value cannot be right.
    """
    table = dict(given) if isinstance(given, Mapping) else {}
    names = {template.name for template in TEMPLATES}
    overrides: list[tuple[str, str, dict[str, Any]]] = []
    for key, value in table.items():
        name, _, on = (part.strip() for part in key.partition(" on "))
        if name in names:
            if not isinstance(value, Mapping):
                raise ConfigurationError(
                    f"alerts.{key}: {value!r} is not accepted; it takes a table of "
                    "parameters, or enabled = false"
                )
            overrides.append((name, on, dict(value)))
        elif key not in _KEYS:
            raise unknown_key(key, "alerts", [*_KEYS, *sorted(names)], name)
    stretch = _positive(table, "scale", 1.0) if scale is None else scale
    rules = [*_defaults(overrides), *_own(table.get("rules", []))]
    addresses = {kind: _address(table, kind) for kind in ("runbooks", *_ADDRESSES)}
    runbooks = addresses.pop("runbooks")
    if runbooks:
        rules = [
            replace(rule, runbook=rule.runbook.replace(RUNBOOK, runbooks, 1))
            for rule in rules
        ]
    return AlertSettings(
        tuple(rule.scaled(stretch) for rule in rules),
        _positive(table, "interval", min(max(5.0 * stretch, 0.2), 15.0)),
        stretch,
        _flag(table, "log"),
        {kind: address for kind, address in addresses.items() if address},
        _flag(table, "enabled"),
    )


def _address(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return value
    # Without the value: it may hold a secret.
    raise ConfigurationError(
        f"alerts.{key}: it takes an address that begins with http:// or https://"
    )


def _flag(table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key, True)
    if isinstance(value, bool):
        return value
    raise ConfigurationError(f"alerts.{key}: {value!r} is not accepted; true or false")


def _positive(table: Mapping[str, Any], key: str, default: float) -> float:
    value = table.get(key, default)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise ConfigurationError(
        f"alerts.{key}: {value!r} is not accepted; it takes a number above 0"
    )


def _own(lines: object) -> list[Rule]:
    if not isinstance(lines, list) or not all(isinstance(one, str) for one in lines):
        raise ConfigurationError("alerts.rules: it takes a list of lines")
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(user_rule(line, number))
        except ConfigurationError as error:  # noqa: PERF203 - a handful, once
            raise ConfigurationError(f"alerts.rules, line {number}, {error}") from None
    return found


def _defaults(overrides: list[tuple[str, str, dict[str, Any]]]) -> list[Rule]:
    found: list[Rule] = []
    for template in TEMPLATES:
        general: dict[str, Any] = {}
        enabled = True
        special: list[Rule] = []
        taken: list[str] = []
        for name, on, values in overrides:
            if name != template.name:
                continue
            mentioned, wanted = _checked(template, values)
            if not on:
                general, enabled = mentioned, wanted
                continue
            globs = tuple(one.strip() for one in on.split(",") if one.strip())
            taken += globs
            if wanted:
                special.append(template.rule(mentioned, globs))
        if enabled:
            found.append(replace(template.rule(general), off=tuple(taken)))
        found += special
    return found


def _checked(template: Template, values: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The parameters of a template; two templates may share one name."""
    name = template.name
    known = {key for one in TEMPLATES if one.name == name for key in one.parameters}
    for key in values:
        if key not in known and key != "enabled":
            listed = ", ".join([*sorted(known), "enabled"])
            raise ConfigurationError(
                f"alerts.{name}: unknown parameter {key!r}; it has {listed}"
            )
    enabled = values.get("enabled", True)
    if not isinstance(enabled, bool):
        raise ConfigurationError(f"alerts.{name}.enabled: it takes true or false")
    return {k: v for k, v in values.items() if k in template.parameters}, enabled
