"""Tracebacks as they would be without us: our frames step aside."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from stagelight._outcomes import CODE_FILE

if TYPE_CHECKING:
    from types import TracebackType

_OWN: Final = os.path.join(os.path.dirname(__file__), "")  # noqa: PTH118, PTH120 - a prefix


def is_ours(filename: str) -> bool:
    """Whether a source file is part of stagelight.

    Args:
        filename: ``co_filename`` of its code.
    """
    return filename.startswith(_OWN)


def is_hidden(trace: TracebackType) -> bool:
    """Whether a frame of a traceback is ours.

    Args:
        trace: One entry of a traceback.
    """
    filename = trace.tb_frame.f_code.co_filename
    return filename == CODE_FILE or is_ours(filename)


def step_aside(error: BaseException) -> None:
    """Drop our frames from the start of a traceback, before a bare ``raise``.

    A bare ``raise`` does not add its frame again (from Python 3.11 on).

    Args:
        error: The exception that passes through.
    """
    trace = error.__traceback__
    while trace is not None and is_hidden(trace):
        trace = trace.tb_next
    error.__traceback__ = trace
