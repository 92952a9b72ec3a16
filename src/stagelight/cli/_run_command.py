"""The options of ``stagelight run``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from stagelight import _config
from stagelight._capture import Capture
from stagelight._errors import ConfigurationError
from stagelight._patterns import parse_pattern
from stagelight._register import check_name
from stagelight.cli._plan import Plan
from stagelight.cli._refused import Refused


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option("-m", "is_module", is_flag=True, help="PROGRAM is a module's name.")
@click.option(
    "--stage",
    "stages",
    metavar="PATTERN",
    multiple=True,
    help="Observe module:function or module:Class.method too; * ? [] are globs, "
    "=name behind it names the stage. May be repeated.",
)
@click.option("--name", metavar="PIPELINE", help="Name of the pipeline.")
@click.option(
    "--json",
    "document",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the final state and all failures to FILE.",
)
@click.option(
    "--explain", is_flag=True, help="Say at the end what was observed, and why not."
)
@click.option("--no-table", is_flag=True, help="Print no table at the end.")
@click.option(
    "--json-logs", is_flag=True, help="Write failed events as JSON lines to stderr."
)
@click.option(
    "--capture",
    metavar="FOLDER",
    help="Keep failed events in FOLDER, for stagelight failures and replay.",
)
@click.option(
    "--listen",
    metavar="ADDRESS",
    help="Serve page and probes there, or off; by default on 127.0.0.1:8321, or a free "
    "port where that is taken.",
)
@click.argument("program")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(  # noqa: PLR0913 - one parameter for each option
    *,
    is_module: bool,
    stages: tuple[str, ...],
    name: str | None,
    document: Path | None,
    explain: bool,
    no_table: bool,
    json_logs: bool,
    capture: str | None,
    listen: str | None,
    program: str,
    arguments: tuple[str, ...],
) -> Plan:
    """Run an unmodified PROGRAM and see every stage of it.

    PROGRAM is a script, a folder or zip file with __main__.py, or with -m a module.
    Options that follow it are its own. It behaves as under plain Python; a table goes
    to stderr when it ends, and telemetry where OTEL_EXPORTER_OTLP_ENDPOINT says. While
    it runs a page shows it live, at the address that a line on stderr tells.
    """
    try:
        settings = _config.load()
        declared = tuple(parse_pattern(text, "--stage") for text in stages)
        if name is not None:
            check_name(name, "pipeline")
        kept = _kept(settings, capture)
    except ConfigurationError as error:
        raise Refused(str(error)) from None
    settings = replace(
        settings,
        stages=(*declared, *settings.stages),
        pipeline=name or settings.pipeline,
        json_logs=json_logs or settings.json_logs,
        capture=kept,
    )
    path = None if document is None else _writable(document)
    return Plan(
        program,
        arguments,
        is_module,
        settings,
        path,
        not no_table,
        explain,
        listen or settings.listen,
    )


def _kept(settings: _config.Settings, folder: str | None) -> Capture | None:
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
        raise Refused(f"--json: there is no folder {str(path.parent)!r}")
    if not os.access(path.parent, os.W_OK):
        raise Refused(f"--json: nothing can be written in {str(path.parent)!r}")
    return path
