"""The end of a program by an exception that nobody caught, as plain Python ends it."""

from __future__ import annotations

import contextlib
import sys
from typing import Final, NoReturn

from stagelight.instrumentation._tracebacks import clean

#: The interrupt that ended the program, if one did.
_INTERRUPTED: Final[list[BaseException]] = []


def at_last() -> None:
    """Let the interpreter end itself by SIGINT; to be called last of all.

    It does so after a KeyboardInterrupt that left a program's main code. Text that is
    executed counts as such, and any that is executed later makes it forget.
    """
    if _INTERRUPTED:
        with contextlib.suppress(KeyboardInterrupt):
            exec("raise KeyboardInterrupt")  # noqa: S102 - as said


def end(error: BaseException) -> NoReturn:
    """Show an exception without our frames, and end the process as it would.

    Args:
        error: What the program raised; no SystemExit.
    """
    clean(error)
    _show(error)
    if type(error) is KeyboardInterrupt:
        _INTERRUPTED.append(error)
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
