"""The end of a program by an exception that nobody caught, as plain Python ends it."""

from __future__ import annotations

import sys
from typing import NoReturn

from stagelight.instrumentation._tracebacks import clean


def end(error: BaseException) -> NoReturn:
    """Show an exception without our frames, and end the process as it would.

    Args:
        error: What the program raised; no SystemExit.
    """
    clean(error)
    _show(error)
    if type(error) is KeyboardInterrupt:
        # The interpreter ends itself by SIGINT where this arrives at the top.
        sys.excepthook = lambda *_: None
        raise KeyboardInterrupt
    sys.exit(1)


def _show(error: BaseException) -> None:
    kind, trace = type(error), error.__traceback__
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    hook = getattr(sys, "excepthook", None)
    if hook is None:
        sys.stderr.write("sys.excepthook is missing\n")
        sys.__excepthook__(kind, error, trace)
        return
    try:
        hook(kind, error, trace)
    except SystemExit:
        raise
    except BaseException as second:  # noqa: BLE001 - the user's hook
        clean(second)
        sys.stderr.write("Error in sys.excepthook:\n")
        sys.__excepthook__(type(second), second, second.__traceback__)
        sys.stderr.write("\nOriginal exception was:\n")
        sys.__excepthook__(kind, error, trace)
