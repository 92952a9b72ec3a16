"""Tracebacks as they would be without us."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagelight._outcomes import CODE_FILE
from stagelight.instrumentation._origin import is_ours

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


def _is_hidden(trace: TracebackType) -> bool:
    filename = trace.tb_frame.f_code.co_filename
    return filename == CODE_FILE or is_ours(filename)


def step_aside(error: BaseException) -> None:
    """Drop our frames from the start of a traceback, before a bare ``raise``.

    A bare ``raise`` does not add its frame again (from Python 3.11 on).

    Args:
        error: The exception that passes through.
    """
    trace = error.__traceback__
    while trace is not None and _is_hidden(trace):
        trace = trace.tb_next
    error.__traceback__ = trace


def clean(error: BaseException) -> None:
    """Drop our frames from an exception that nobody caught, and from its causes.

    Args:
        error: The exception that ends the program.
    """
    for one in _chain(error):
        step_aside(one)
        trace = one.__traceback__
        while trace is not None:
            while trace.tb_next is not None and _is_hidden(trace.tb_next):
                trace.tb_next = trace.tb_next.tb_next
            trace = trace.tb_next


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception with its causes, contexts and, in a group, members."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        members = getattr(one, "exceptions", ())
        waiting += [one.__cause__, one.__context__]
        waiting += (
            [m for m in members if isinstance(m, BaseException)]
            if isinstance(members, tuple)
            else []
        )
