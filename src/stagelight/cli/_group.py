"""The group of all commands; each is a file of its own, imported when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from stagelight._version import __version__

#: Command -> the module below this package that has it, under the command's name.
_COMMANDS: Final = {
    "doctor": "_doctor_command",
    "failures": "_failures_command",
    "grafana": "_grafana_command",
    "replay": "_replay_command",
    "rules": "_rules_command",
    "run": "_run_command",
    "serve": "_serve_command",
    "stats": "_stats_command",
    "tap": "_tap_command",
    "top": "_top_command",
    "vendor": "_vendor_command",
}


class _Lazy(click.Group):
    """Imports a command only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        del ctx
        return sorted([*_COMMANDS, "probe"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, None where there is none."""
        del ctx
        if cmd_name == "probe":
            return _probe
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"stagelight.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
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


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="stagelight %(version)s")
def group() -> None:
    """See every stage of a Python pipeline."""
