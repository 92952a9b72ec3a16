"""The page of a program under ``stagelight run``."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING

from stagelight._errors import ConfigurationError
from stagelight.cli import _stderr

if TYPE_CHECKING:
    from stagelight.cli._plan import Plan

OFF = "off"


def serve(plan: Plan) -> None:
    """Serve the page, and say where; by default quietly not, where it cannot be.

    Everything that it needs is loaded here: once the program runs, modules of its own
    may have the same names.

    Args:
        plan: Where to.
    """
    if plan.listen == OFF:
        return
    try:
        from stagelight.server import serve as start

        with contextlib.suppress(ImportError):
            importlib.import_module("anyio._backends._asyncio")
        if plan.listen is not None:
            server = start(plan.listen)
        else:
            try:
                server = start()
            except ConfigurationError:
                server = start(0)
    except (ConfigurationError, ImportError, OSError, RuntimeError) as error:
        if plan.listen is not None:
            sys.stderr.write(f"Error: {error}\n")
            sys.exit(2)
        return
    if plan.table:
        _stderr.write(f"stagelight  watch it at {server.url}\n")
