"""The command ``stagelight``."""

from __future__ import annotations

import gc
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; ends the process, or runs a program in it.

    The program runs after click has returned, so that nothing of click is below it.
    """
    from stagelight.cli._modules import is_safe_path
    from stagelight.cli._plan import Plan

    if not is_safe_path():
        del sys.path[0]  # our script's folder, or the current one: the program's now
    plan = _parse_plain() or _parse()
    if not isinstance(plan, Plan):
        sys.exit(plan if isinstance(plan, int) else 0)
    collecting = gc.isenabled()
    # What is loaded now is no garbage; to look for some takes a tenth of the start.
    gc.disable()
    from stagelight.cli import _run

    _run.run(plan, collecting=collecting)


def _parse_plain() -> object:
    if sys.argv[1:2] != ["run"]:
        return None
    from stagelight.cli import _quick

    return _quick.read(sys.argv[2:])


def _parse() -> object:
    import click

    from stagelight.cli._group import group

    try:
        return group.main(prog_name="stagelight", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
