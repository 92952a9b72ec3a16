"""The group of all commands; each one is a file of its own, loaded when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from stagelight._version import __version__

#: Command -> its module.
_COMMANDS: Final = {
    "run": "_run_command",
    "serve": "_serve_command",
    "stats": "_stats_command",
    "tap": "_tap_command",
    "top": "_top_command",
}


class _Group(click.Group):
    """Loads a command only when it is asked for."""

    def list_commands(self, _: click.Context) -> list[str]:
        return sorted([*_COMMANDS, "probe"])

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name == "probe":
            return _probe
        if name not in _COMMANDS:
            return None
        module = import_module(f"stagelight.cli.{_COMMANDS[name]}")
        command: click.Command = getattr(module, name)
        return command


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    help="Ask a probe: the exit code is its answer, for exec probes.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def _probe(arguments: tuple[str, ...]) -> int:
    from stagelight_probe import probe

    return probe(list(arguments))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="stagelight %(version)s")
def group() -> None:
    """See every stage of a Python pipeline."""
