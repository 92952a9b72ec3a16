"""The real stderr, which the program may have replaced, closed or given to logging."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import Final

from stagelight import _guard

_STDERR: Final = 2


def is_terminal() -> bool:
    """Whether somebody looks at it."""
    return os.isatty(_STDERR)


def write(text: str) -> None:
    """Write a text, if that can be done.

    Args:
        text: With its line ends.
    """
    data = text.encode("utf-8", "replace")
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(_STDERR, data) :]


class _Warnings(logging.Handler):
    """Writes our warnings there, not to where the program's own log goes."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one warning."""
        write(f"{self.format(record)}\n")


def take_warnings() -> None:
    """Keep our warnings out of the program's log, which may be its output."""
    _guard.LOG.addHandler(_Warnings())
    _guard.LOG.propagate = False
