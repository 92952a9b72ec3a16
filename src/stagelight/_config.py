"""Settings: ``[tool.stagelight]`` or ``stagelight.toml``, then ``STAGELIGHT_*``.

OpenTelemetry's own variables come first and are not repeated here. A setting that
cannot be right is an error that names its place, its key and what would be accepted.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from stagelight._accepted import READERS
from stagelight._declared import from_configuration_file
from stagelight._errors import ConfigurationError
from stagelight._refusals import refuse, unknown_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stagelight._capture import Capture
    from stagelight._patterns import Pattern

ENVIRONMENT: Final = "STAGELIGHT_"
_NATIVE: Final = f"{ENVIRONMENT}NATIVE"
_FILE: Final = "stagelight.toml"
_PROJECT: Final = "pyproject.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user decided; every field is a key of the same name.

    Attributes:
        pipeline: Name of the pipeline; None for the service's or the program's.
        stages: Functions and methods to observe beside classes with ``process``.
        queues: Globs over names of queues and pools to observe; ``!glob`` excludes.
        journeys_per_second: Journeys that are traced, or ``"all"``.
        rescues_per_second: Failed journeys that are traced besides, or ``"all"``.
        json_logs: Whether failed events are also written as JSON lines.
        event_id: Attribute or key path of an event's identifier, as ``meta.id``.
        capture: Which failed events are kept in which folder, None for none.
        listen: Where page and probes are served, as ``127.0.0.1:8321``, or ``off``.
        watchdog: Where a process of its own answers the probes as well.
        grpc: Where the gRPC health service is served as well.
        token: What others than this machine have to show.
        ingress: ``push`` or ``pull``; see ``health.Limits``.
        tap: Whether samples of events may be looked at.
        trace_url: Address of a trace, with ``{trace_id}`` in it.
        redact: Regular expressions of what never leaves, beside the usual secrets.
        alerts: Whether rules are evaluated, or a table of what differs.
        detail: How much is recorded: ``basic``, ``normal`` or ``detailed``.
        cost_budget: Share of a worker's busy time above which stagelight records less
            by itself; 0 for never.
        spans_per_trace: Spans that a trace of a framework's run grows to, about, before
            the run goes on in a linked one, or ``"all"``.
    """

    pipeline: str | None = None
    stages: tuple[Pattern, ...] = ()
    queues: tuple[str, ...] = ()
    journeys_per_second: float | Literal["all"] = 50.0
    rescues_per_second: float | Literal["all"] = 100.0
    json_logs: bool = False
    event_id: str | None = None
    capture: Capture | None = None
    listen: str | None = None
    watchdog: str | None = None
    grpc: str | None = None
    token: str | None = None
    ingress: Literal["push", "pull"] = "push"
    tap: bool = False
    trace_url: str | None = None
    redact: tuple[str, ...] = ()
    alerts: bool | Mapping[str, Any] | None = None
    detail: Literal["basic", "normal", "detailed"] = "normal"
    cost_budget: float = 0.02
    spans_per_trace: int | Literal["all"] = 50_000

    def wants_queue(self, name: str) -> bool:
        """Whether a queue or pool of that name is to be observed.

        Args:
            name: Its name.
        """
        wanted = [glob for glob in self.queues if not glob.startswith("!")]
        unwanted = [glob[1:] for glob in self.queues if glob.startswith("!")]
        return (
            not wanted or any(fnmatchcase(name, glob) for glob in wanted)
        ) and not any(fnmatchcase(name, glob) for glob in unwanted)


def load(
    folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """The settings in force.

    Args:
        folder: Where the search for a file begins, upward; by default here.
        environment: Variables; by default this process's.

    Raises:
        ConfigurationError: A key is unknown or a value cannot be right.
    """
    values: dict[str, Any] = {}
    origin, table = _find_table(folder or _here())
    for key, value in table.items():
        _known(key, key, origin, list(READERS))
        values[key] = READERS[key](value, f"{origin}: {key}")
    variables = {f"{ENVIRONMENT}{key.upper()}": key for key in READERS}
    for variable, text in (os.environ if environment is None else environment).items():
        if variable == _NATIVE:  # it was looked at as we were imported
            if text.strip() not in {"", "0", "1"}:
                raise ConfigurationError(f"{variable} is {text!r}; it takes 0 or 1")
            continue
        if variable.startswith(ENVIRONMENT) and text.strip():
            _known(variable, variables.get(variable), "environment", list(variables))
            key = variables[variable]
            values[key] = READERS[key](_from_text(key, text), variable)
    declared = from_configuration_file(
        os.environ if environment is None else environment
    )
    if declared:
        values["stages"] = (*values.get("stages", ()), *declared)
    return Settings(**values)


def _known(given: str, key: str | None, origin: str, known: list[str]) -> None:
    if key not in READERS:
        raise unknown_key(given, origin, known)


def _here() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # somebody has removed it
        return None


def _find_table(folder: Path | None) -> tuple[str, Mapping[str, Any]]:
    """The nearest table of ours, and how to call its place."""
    for here in (folder, *folder.parents) if folder is not None else ():
        path = here / _FILE
        data = _content(path)
        if data is not None:
            return str(path), _parse(path, data)
        path = here / _PROJECT
        data = _content(path)
        if data is not None and b"stagelight" in data:  # else no parser is loaded
            tool = _parse(path, data).get("tool")
            table = tool.get("stagelight") if isinstance(tool, dict) else None
            if isinstance(table, dict):
                return f"{path} [tool.stagelight]", table
            if table is not None:
                raise refuse(table, f"{path}: tool.stagelight", "a table")
    return "", {}


def _content(path: Path) -> bytes | None:
    """What is in a file, None where nobody can read it: it may be a stranger's."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    parser = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        table: dict[str, Any] = parser.loads(data.decode("utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{path} is no valid TOML: {error}") from None
    return table


def _json(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text  # which is refused as any other text


def _from_text(key: str, text: str) -> Any:  # noqa: PLR0911 - one for each form
    """A variable's text as the value that a file would hold."""
    text = text.strip()
    if key == "redact":
        return [text]  # a regular expression may have commas
    if key == "stages" and text.startswith("["):
        return _json(text)
    if key in {"stages", "queues"}:
        return [part.strip() for part in text.split(",") if part.strip()]
    if key in {"json_logs", "tap", "alerts"}:
        words = {"true": True, "1": True, "false": False, "0": False}
        return words.get(text.lower(), text)
    if key == "spans_per_trace" and text.isdecimal():
        return int(text)
    number = key == "cost_budget" or key.endswith("_per_second")
    if number and text.lower() != "all":
        try:
            return float(text)
        except ValueError:
            return text
    return text
