"""Stages declared with more than a name: as tables, or as a configuration file has it.

``stages`` holds patterns as texts, or tables with a ``target`` and what else is to be
known of it. The declarative configuration file that ``OTEL_CONFIG_FILE`` names has the
same under ``instrumentation/development: python: methods: include:``, in the form
that OpenTelemetry for Java has.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stagelight import _names
from stagelight._errors import ConfigurationError
from stagelight._patterns import FORM, Pattern, parse_pattern
from stagelight._refusals import refuse, unknown_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KINDS: Final = ("internal", "server", "client", "producer", "consumer")
_KEYS: Final = ("target", "name", "event_id", "pipeline", "span_kind", "min_duration")
_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s)")
_INSTRUMENTATION: Final = "instrumentation/development"
_ACCEPTED: Final = f"{FORM}; or a table with {', '.join(_KEYS)}"


def read_stages(value: object, place: str) -> tuple[Pattern, ...]:
    """The patterns that a list of texts and tables declares.

    Args:
        value: The list.
        place: Where it stands, for errors.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(value, list):
        raise refuse(value, place, f"a list, each {_ACCEPTED}")
    found = []
    for one in value:
        if isinstance(one, str):
            found.append(parse_pattern(one, place))
        elif isinstance(one, dict):
            found.append(_read_table(one, place))
        else:
            raise refuse(one, place, _ACCEPTED)
    return tuple(found)


def _read_table(table: Mapping[str, Any], place: str) -> Pattern:
    for key in table:
        if key not in _KEYS:
            raise unknown_key(key, place, _KEYS)
    target = table.get("target")
    if not isinstance(target, str):
        raise refuse(target, f"{place}: target", FORM)
    name = table.get("name")
    if name is not None:
        target = f"{target}={_text(name, f'{place}: name')}"
    return parse_pattern(target, place)._replace(
        event_id=_path(table.get("event_id"), f"{place}: event_id"),
        pipeline=_label(table.get("pipeline"), f"{place}: pipeline"),
        span_kind=_kind(table.get("span_kind"), f"{place}: span_kind"),
        min_duration=_seconds(table.get("min_duration"), f"{place}: min_duration"),
    )


def _text(value: object, place: str) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise refuse(value, place, "a text")


def _label(value: object, place: str) -> str | None:
    if value is None:
        return None
    text = _text(value, place)
    if len(text) > _names.MAX_NAME or not text.isprintable():
        raise refuse(value, place, f"1 to {_names.MAX_NAME} printable characters")
    return text


def _path(value: object, place: str) -> str | None:
    if value is None:
        return None
    text = _text(value, place)
    if not all(part.replace("-", "_").isidentifier() for part in text.split(".")):
        raise refuse(value, place, "an attribute or key, or several as meta.id")
    return text


def _kind(value: object, place: str) -> str:
    if value is None:
        return KINDS[0]
    kind = str(value).strip().lower()
    if kind not in KINDS:
        raise refuse(value, place, f"one of {', '.join(KINDS)}")
    return kind


def _seconds(value: object, place: str) -> float:
    if value is None:
        return 0.0
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise refuse(value, place, "seconds as a number, or a text such as 5ms")
    return float(found[1]) * _UNITS[found[2]]


def from_configuration_file(environment: Mapping[str, str]) -> tuple[Pattern, ...]:
    """Stages that the declarative configuration file declares.

    Args:
        environment: Variables, of which ``OTEL_CONFIG_FILE`` names it.

    Raises:
        ConfigurationError: A declaration cannot be right.
    """
    path = environment.get("OTEL_CONFIG_FILE", "").strip()
    if not path:
        return ()
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ()  # the SDK says what is wrong with it
    if _INSTRUMENTATION not in text or "methods" not in text:
        return ()
    return read_stages(list(_included(_load(path, text), path)), path)


def _load(path: str, text: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise ConfigurationError(
            f"{path} declares methods to observe, which takes PyYAML to read; "
            "install opentelemetry-configuration"
        ) from None
    try:
        return yaml.safe_load(os.path.expandvars(text))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is no valid YAML: {error}") from None


def _included(document: Any, path: str) -> Iterator[dict[str, Any]]:
    """The tables of ``methods: include:``, each method as one of ours."""
    place = f"{path}: {_INSTRUMENTATION}: python: methods: include"
    found = document
    for key in (_INSTRUMENTATION, "python", "methods", "include"):
        found = found.get(key) if isinstance(found, dict) else None
    if found is None:
        return
    if not isinstance(found, list):
        raise refuse(found, place, "a list of classes with their methods")
    for entry in found:
        if not isinstance(entry, dict) or not isinstance(entry.get("methods"), list):
            raise refuse(entry, place, "class (or module), and methods")
        for method in entry["methods"]:
            known = {"name": method} if isinstance(method, str) else method
            if not isinstance(known, dict) or not isinstance(known.get("name"), str):
                raise refuse(method, f"{place}: methods", "a name, and span_kind")
            table = {key: value for key, value in known.items() if key != "name"}
            if "stage" in table:
                table["name"] = table.pop("stage")
            yield {**table, "target": _target(entry, known["name"], place)}


def _target(entry: Mapping[str, Any], method: str, place: str) -> str:
    if isinstance(entry.get("module"), str):
        return f"{entry['module']}:{method}"
    kind = entry.get("class")
    if not isinstance(kind, str) or not ({".", ":"} & set(kind)):
        raise refuse(kind, f"{place}: class", "package.module.Class")
    module, _, name = kind.partition(":") if ":" in kind else kind.rpartition(".")
    return f"{module}:{name}.{method}"
