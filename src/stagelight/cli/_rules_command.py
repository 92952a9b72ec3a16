"""``stagelight rules``: the alert rules for Prometheus."""

from __future__ import annotations

from pathlib import Path

import click

from stagelight import _config
from stagelight._errors import ConfigurationError
from stagelight.cli._refused import Refused


@click.command()
@click.option(
    "--list", "listing", is_flag=True, help="Print them as the lines they are made of."
)
@click.option(
    "--scale",
    type=click.FloatRange(0, min_open=True),
    help="Multiply every duration, as 0.0167 for demos.",
)
@click.option(
    "--tests",
    metavar="RULES",
    help="Print promtool tests of the rule file RULES instead.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write them to a file.",
)
def rules(
    *, listing: bool, scale: float | None, tests: str | None, output: Path | None
) -> None:
    """Print the alert rules in force, as a rule file for Prometheus.

    They are those that stagelight evaluates in the process, with the same labels:
    an Alertmanager that hears of both shows one alert.
    """
    from stagelight.alerts import _prometheus, _promtests
    from stagelight.alerts._settings import load_rules

    try:
        found = load_rules(_config.load().alerts, scale)
    except ConfigurationError as error:
        raise Refused(str(error)) from None
    if listing:
        text = "".join(
            f"{one.severity} {one.name}: {_line(one.line)}\n" for one in found
        )
    elif tests is not None:
        text = _prometheus.text(_promtests.tests(found, tests))
    else:
        text = _prometheus.text(_prometheus.groups(found))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def _line(line: str) -> str:
    return line.removeprefix("critical ").removeprefix("warning ")
