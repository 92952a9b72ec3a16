"""How a task of a process executor that fails brings its timings back.

In a worker process, and only there, the class that wraps what is sent instead of a
result is ours: it reaches the parent as the exception, and leaves the timings there.
"""

from __future__ import annotations

from concurrent.futures import process
from typing import TYPE_CHECKING, Any, Final

from stagelight._pool._remote import arrive_failed

if TYPE_CHECKING:
    from array import array

_RAISED: Final = process._ExceptionWithTraceback  # noqa: SLF001
#: Key and timings of the task that this process ran last.
LAST: Final[list[tuple[int, array[int]]]] = []


class _Raised(_RAISED):  # type: ignore[misc, valid-type]
    """An exception and its traceback as text."""

    __module__ = _RAISED.__module__
    __qualname__ = _RAISED.__qualname__

    def __init__(self, exc: BaseException, tb: Any) -> None:
        super().__init__(exc, tb)
        self.told = LAST[-1] if LAST else None

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Unpickle to the exception, with the text as its cause."""
        if self.told is None:
            return super().__reduce__()  # type: ignore[no-any-return]
        return rebuild, (self.exc, self.tb, *self.told)


def rebuild(exc: Any, tb: str, key: int, times: array[int]) -> Any:
    """Note a failed task, and give its exception as the executor does.

    Args:
        exc: The exception.
        tb: Its traceback in the worker.
        key: Which task it was.
        times: Clocks at start and end of each of its calls.
    """
    error = process._rebuild_exc(exc, tb)  # noqa: SLF001
    return arrive_failed(error, key, times)


def install() -> None:
    """Take the place of the class, in this worker process."""
    module: Any = process
    if module._ExceptionWithTraceback is _RAISED:  # noqa: SLF001 - no other way
        module._ExceptionWithTraceback = _Raised  # noqa: SLF001 - as above
