"""``stagelight doctor``: a probe down the whole way, and what it met."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from stagelight.cli._refused import Refused

if TYPE_CHECKING:
    from stagelight._doctor import Report

#: Columns where there is no terminal.
_WIDTH = 100
_MARKS = {
    "ok": ("ok", "green"),
    "warning": ("warn", "yellow"),
    "failed": ("FAIL", "bold red"),
    "skipped": ("skip", "dim"),
}


def _address(
    _: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    if value is None or value == "none":
        return value
    try:
        usable = bool(urlsplit(value).hostname)
    except ValueError:
        usable = False
    if not usable or not value.startswith(("http://", "https://")):
        # Without the value: it may hold a password.
        raise click.BadParameter(f"--{parameter.name} takes http://HOST:PORT or none")
    return value


@click.command()
@click.option("--jaeger", metavar="URL", callback=_address, help="Jaeger's address.")
@click.option(
    "--prometheus", metavar="URL", callback=_address, help="Prometheus's address."
)
@click.option(
    "--collector",
    metavar="URL",
    callback=_address,
    help="Where the collector shows its own counters, with the path.",
)
@click.option(
    "--loki", metavar="URL", callback=_address, help="Loki's address, if logs go there."
)
@click.option(
    "--timeout",
    type=click.FloatRange(1, 600),
    default=45.0,
    show_default=True,
    help="Seconds to look for the probe; more than a scrape interval.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 for a warning as well.")
@click.option("--json", "as_json", is_flag=True, help="Print a document.")
def doctor(  # noqa: PLR0913 - one parameter for each option
    *,
    jaeger: str | None,
    prometheus: str | None,
    collector: str | None,
    loki: str | None,
    timeout: float,
    strict: bool,
    as_json: bool,
) -> int:
    """Send a probe where OTEL_EXPORTER_OTLP_ENDPOINT leads, and look for it.

    One span, metric and log record go out by the exporters that a program would have,
    and are looked for in the collector, Jaeger and Prometheus: by default beside the
    collector on 8888, 16686 and 9090, `none` leaves one out. Exits with 0 if
    everything works, with 1 if something is broken, with 2 if it is called wrongly.
    """
    from stagelight import _doctor
    from stagelight._errors import ConfigurationError
    from stagelight._secrets import redact

    given = {
        "jaeger": jaeger,
        "prometheus": prometheus,
        "collector": collector,
        "loki": loki,
    }
    try:
        report = _doctor.examine(_doctor.addresses(given), timeout)
    except ConfigurationError as error:
        raise Refused(redact(str(error))) from None
    if as_json:
        document = {
            "ok": not report.broken(strict=strict),
            "findings": [dataclasses.asdict(one) for one in report.findings],
            "links": report.links,
        }
        click.echo(json.dumps(document, indent=2))
    else:
        _print(report)
    return int(report.broken(strict=strict))


def _print(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in report.findings:
        mark, style = _MARKS[finding.status]
        text = Text(finding.text)
        if finding.change:
            text.append(f"\n-> {finding.change}", style="bold")
        table.add_row(Text(mark, style=style), finding.hop, text)
    for name, link in report.links.items():
        table.add_row("", name, Text(link))
    terminal = sys.stdout.isatty()
    out = io.StringIO()
    Console(
        file=out,
        width=None if terminal else _WIDTH,
        force_terminal=terminal,
        highlight=False,
        markup=False,
        emoji=False,
    ).print(table)
    # Cells are filled up to the width, which only a terminal hides.
    click.echo("\n".join(line.rstrip() for line in out.getvalue().splitlines()))
