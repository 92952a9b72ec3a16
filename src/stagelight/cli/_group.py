"""The group of all commands; each one is a file of its own."""

from __future__ import annotations

import click

from stagelight._version import __version__
from stagelight.cli._run_command import run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="stagelight %(version)s")
def group() -> None:
    """See every stage of a Python pipeline."""


group.add_command(run)
