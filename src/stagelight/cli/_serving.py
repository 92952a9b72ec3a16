"""The page of a program under ``stagelight run``."""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stagelight._errors import ConfigurationError
from stagelight.cli import _stderr

if TYPE_CHECKING:
    from stagelight.cli._plan import Plan

OFF = "off"
#: What is loaded late, beside the standard library.
_LATE = frozenset(
    {"anyio", "click", "exceptiongroup", "h11", "idna", "sniffio", "starlette"}
    | {"typing_extensions", "uvicorn", "dotenv", "httptools", "uvloop", "watchfiles"}
    | {"websockets", "yaml"}
)


def serve(plan: Plan) -> None:
    """Serve the page, and say where; by default quietly not, where it cannot be.

    What it needs is loaded when somebody looks; at once where a module of the program
    has a name that would then hide one of that.

    Args:
        plan: Where to.
    """
    if plan.listen == OFF:
        return
    try:
        from stagelight.server import open_server

        later = not _may_hide(plan)
        if not later:
            with contextlib.suppress(ImportError):
                importlib.import_module("anyio._backends._asyncio")
        if plan.listen is not None:
            server = open_server(plan.listen, later=later)
        else:
            try:
                server = open_server(later=later)
            except ConfigurationError:
                server = open_server(0, later=later)
    except (ConfigurationError, ImportError, OSError, RuntimeError) as error:
        if plan.listen is not None:
            sys.stderr.write(f"Error: {error}\n")
            sys.exit(2)
        return
    if plan.table:
        _stderr.write(f"stagelight  watch it at {server.url}\n")


def _may_hide(plan: Plan) -> bool:
    """Whether a module of the program has the name of one that is loaded late."""
    program = Path(plan.program)
    folders = [Path.cwd()] if plan.is_module else [program, program.parent]
    try:
        names = {
            one.stem for path in folders if path.is_dir() for one in path.iterdir()
        }
    except OSError:
        return True
    return bool(names & (_LATE | sys.stdlib_module_names))
