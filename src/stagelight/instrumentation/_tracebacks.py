"""An uncaught exception as it would be without us, with its causes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagelight._aside import is_hidden, step_aside

if TYPE_CHECKING:
    from collections.abc import Iterator


def clean(error: BaseException) -> None:
    """Drop our frames from an exception that nobody caught, and from its causes.

    Args:
        error: The exception that ends the program.
    """
    for one in _chain(error):
        step_aside(one)
        trace = one.__traceback__
        while trace is not None:
            while trace.tb_next is not None and is_hidden(trace.tb_next):
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
