"""What a command line asks ``stagelight run`` to do."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from stagelight import _config
from stagelight._capture import Capture
from stagelight._errors import ConfigurationError
from stagelight._patterns import parse_pattern
from stagelight._register import check_name

if TYPE_CHECKING:
    from pathlib import Path

    from stagelight._config import Settings


class Plan(NamedTuple):
    """One run.

    Attributes:
        program: Path of a script, folder or zip file, or name of a module.
        arguments: The program's own.
        is_module: Whether ``program`` is a module's name.
        settings: How to observe it.
        json: Where the document goes, or None.
        table: Whether the table is printed.
        listen: Where the page is served: an address, ``off``, or None for the default.
        explain: Whether it is said what was observed, and why.
    """

    program: str
    arguments: tuple[str, ...]
    is_module: bool
    settings: Settings
    json: Path | None
    table: bool
    explain: bool = False
    listen: str | None = None


def make_plan(  # noqa: PLR0913 - one parameter for each option
    *,
    program: str,
    arguments: tuple[str, ...],
    is_module: bool,
    stages: tuple[str, ...],
    name: str | None,
    document: Path | None,
    explain: bool,
    no_table: bool,
    json_logs: bool,
    capture: str | None,
    listen: str | None,
) -> Plan:
    """What options ask for, on top of the settings in force.

    Args:
        program: What to run.
        arguments: The program's own.
        is_module: Whether ``program`` is a module's name.
        stages: Patterns of what to observe too.
        name: Name of the pipeline, or None.
        document: Where the final state goes, or None.
        explain: Whether it is said what was observed.
        no_table: Whether the table is left out.
        json_logs: Whether failed events are written as JSON lines.
        capture: Folder for failed events, or None.
        listen: Where the page is served, or None.

    Raises:
        ConfigurationError: An option or a setting cannot be right.
    """
    settings = _config.load()
    declared = tuple(parse_pattern(text, "--stage") for text in stages)
    if name is not None:
        check_name(name, "pipeline")
    settings = replace(
        settings,
        stages=(*declared, *settings.stages),
        pipeline=name or settings.pipeline,
        json_logs=json_logs or settings.json_logs,
        capture=_kept(settings, capture),
    )
    return Plan(
        program,
        arguments,
        is_module,
        settings,
        None if document is None else _writable(document),
        not no_table,
        explain,
        listen or settings.listen,
    )


def _kept(settings: Settings, folder: str | None) -> Capture | None:
    """What of failed events is kept: in the folder given here, as configured."""
    if folder is None:
        return settings.capture
    if settings.capture is None:
        return Capture(folder)
    return replace(settings.capture, folder=folder)


def _writable(path: Path) -> Path:
    """An absolute path, since the program may change its folder."""
    path = path.absolute()
    if not path.parent.is_dir():
        raise ConfigurationError(f"--json: there is no folder {str(path.parent)!r}")
    if not os.access(path.parent, os.W_OK):
        raise ConfigurationError(
            f"--json: nothing can be written in {str(path.parent)!r}"
        )
    return path
