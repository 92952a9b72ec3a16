"""The page of a program under ``stagelight run``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stagelight._errors import ConfigurationError
from stagelight.cli import _stderr
from stagelight.cli._modules import has_module

if TYPE_CHECKING:
    from stagelight.cli._plan import Plan

OFF = "off"


def serve(plan: Plan) -> None:
    """Serve the page, and say where; by default quietly not, where it cannot be.

    What answers is loaded by the first connection, unless modules of the program may
    have the same names.

    Args:
        plan: Where to.
    """
    if plan.listen == OFF:
        return
    try:
        from stagelight.server import start
        from stagelight.server._late import OTHERS

        late = not _hides(_folder(plan), OTHERS | sys.stdlib_module_names)
        if plan.listen is not None:
            server = start(plan.listen, late=late, settings=plan.settings)
        else:
            try:
                server = start(late=late, settings=plan.settings)
            except ConfigurationError:
                server = start(0, late=late, settings=plan.settings)
    except (ConfigurationError, ImportError, OSError, RuntimeError) as error:
        if plan.listen is not None:
            sys.stderr.write(f"Error: {error}\n")
            sys.exit(2)
        return
    if plan.table:
        _stderr.write(f"stagelight  watch it at {server.url}\n")


def _folder(plan: Plan) -> Path:
    """Where the program's own modules are."""
    if plan.is_module:
        return Path.cwd()
    path = Path(os.path.realpath(plan.program))
    return path if path.is_dir() else path.parent


def _hides(folder: Path, names: frozenset[str]) -> bool:
    """Whether a folder has modules of such names, or cannot be looked at."""
    try:
        found = {entry.name.partition(".")[0] for entry in os.scandir(folder)}
    except OSError:
        return True
    return any(has_module(folder, name) for name in names & found)
