"""``stagelight vendor``: the environment lines for one vendor's OTLP intake."""

from __future__ import annotations

import os

import click

from stagelight import _vendors
from stagelight._errors import ConfigurationError
from stagelight.cli._refused import Refused


@click.command(
    epilog="Vendors: " + ", ".join(vendor.name for vendor in _vendors.VENDORS)
)
@click.argument("name")
@click.option(
    "--set",
    "values",
    metavar="FIELD=VALUE",
    multiple=True,
    help="Fill in what only you know, as in --set site=datadoghq.eu. May be repeated.",
)
@click.option(
    "--token",
    "variable",
    metavar="VARIABLE",
    help="Fill in the secret from this environment variable; a placeholder without.",
)
@click.option("--env-file", is_flag=True, help="Print NAME=value, without export.")
def vendor(
    *, name: str, values: tuple[str, ...], variable: str | None, env_file: bool
) -> None:
    """Print the environment lines that send telemetry to the vendor NAME.

    Fill in the placeholders, or let --set and --token do it, and evaluate them before
    `stagelight run` or any other OpenTelemetry program.
    """
    try:
        row = _vendors.find(name)
        lines = _vendors.environment(row, _pairs(values), _token(row, variable))
    except ConfigurationError as error:
        raise Refused(str(error)) from None
    click.echo(_vendors.render(row, lines, shell=not env_file), nl=False)


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in values:
        field, mark, value = text.partition("=")
        if not mark or not value:
            raise Refused(f"--set takes FIELD=VALUE, not {text!r}")
        pairs[field] = value
    return pairs


def _token(row: _vendors.Vendor, variable: str | None) -> str | None:
    if variable is None:
        return None
    if not row.token:
        raise Refused(f"{row.name} takes no static token; leave out --token")
    token = os.environ.get(variable, "").strip()
    if not token:
        # Not the argument itself: it may be a secret that was given by mistake.
        raise Refused(
            "--token takes the name of an environment variable that holds the "
            f"{row.token}; there is none of that name"
        )
    return token
