"""The options of ``stagelight run``."""

from __future__ import annotations

from pathlib import Path

import click

from stagelight._errors import ConfigurationError
from stagelight.cli._plan import Plan, make_plan
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
        return make_plan(
            is_module=is_module,
            stages=stages,
            name=name,
            document=document,
            explain=explain,
            no_table=no_table,
            json_logs=json_logs,
            capture=capture,
            listen=listen,
            program=program,
            arguments=arguments,
        )
    except ConfigurationError as error:
        raise Refused(str(error)) from None
