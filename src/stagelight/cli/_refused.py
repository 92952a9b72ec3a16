"""The error of a command line that cannot be right."""

from __future__ import annotations

import click


class Refused(click.ClickException):
    """A setting that cannot be right: an error before anything starts."""

    exit_code = 2
