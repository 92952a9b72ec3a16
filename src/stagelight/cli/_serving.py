"""The page of a program under ``stagelight run``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from stagelight._errors import ConfigurationError
from stagelight.cli import _stderr
from stagelight.cli._modules import hides

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

        late = not hides(plan, OTHERS | sys.stdlib_module_names)
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
