"""``stagelight rules``: the alert rules for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from stagelight import _config
from stagelight._errors import ConfigurationError
from stagelight.cli._refused import Refused

#: Seconds between two evaluations in Prometheus.
_INTERVAL: Final = 15.0


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
    "--check",
    "checked",
    metavar="[FILE]",
    is_flag=False,
    flag_value="",
    help="Print nothing: exit with 1 if a rule of yours is wrong, or if FILE is not "
    "what the settings make.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write them to a file.",
)
def rules(
    *,
    listing: bool,
    scale: float | None,
    tests: str | None,
    checked: str | None,
    output: Path | None,
) -> int:
    """Print the alert rules in force, as a rule file for Prometheus.

    They are those that stagelight evaluates in the process, with the same labels:
    an Alertmanager that hears of both shows one alert.
    """
    from stagelight.alerts import _prometheus, _promtests
    from stagelight.alerts._settings import read

    try:
        settings = read(_config.load().alerts, scale)
    except ConfigurationError as error:
        if checked is None:
            raise Refused(str(error)) from None
        click.echo(f"{error}", err=True)
        return 1
    found = settings.rules
    interval = min(max(_INTERVAL * settings.scale, 1.0), _INTERVAL)
    file = _prometheus.text(_prometheus.groups(found, interval))
    if checked is not None:
        return _check(checked, file, len(found))
    if listing:
        text = "".join(
            f"{one.severity} {one.name}: {_line(one.line)}\n" for one in found
        )
    elif tests is not None:
        text = _prometheus.text(_promtests.tests(found, tests))
    else:
        text = file
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
    return 0


def _check(path: str, wanted: str, number: int) -> int:
    from stagelight.alerts import _prometheus

    lines: list[str] = []
    if path:
        try:
            content = Path(path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise Refused(f"--check: {path} cannot be read: {error}") from None
        lines = _prometheus.difference(content, wanted)
    for line in lines:
        click.echo(line, err=True)
    if lines:
        click.echo(f"-> stagelight rules -o {path}", err=True)
        return 1
    click.echo(
        f"{number} alerts are right" + (f", and {path} has them" if path else "")
    )
    return 0


def _line(line: str) -> str:
    return line.removeprefix("critical ").removeprefix("warning ")
