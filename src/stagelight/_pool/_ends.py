"""How a task of a ``multiprocessing`` pool that fails brings its timings back.

Its worker wraps what the task raised, or what did not pickle, by two classes of its
module. In a worker process, and only there, those are ours: they reach the parent as
what they stand for, and leave the timings there.
"""

from __future__ import annotations

from multiprocessing import pool
from typing import TYPE_CHECKING, Any, Final

from stagelight._pool._remote import arrive_failed

if TYPE_CHECKING:
    from array import array

    Told = tuple[int, array[int]]

_RAISED: Final = pool.ExceptionWithTraceback  # type: ignore[attr-defined]
_UNPICKLED: Final = pool.MaybeEncodingError  # type: ignore[attr-defined]
#: Key and timings of the task that raised just now.
FAILED: Final[list[Told]] = []


class _Raised(_RAISED):  # type: ignore[misc, valid-type]
    """An exception and its traceback as text."""

    __module__ = _RAISED.__module__
    __qualname__ = _RAISED.__qualname__

    def __init__(self, exc: BaseException, tb: Any) -> None:
        super().__init__(exc, tb)
        self.told = FAILED.pop() if FAILED else None

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Unpickle to the exception, with the text as its cause."""
        if self.told is None:
            return super().__reduce__()  # type: ignore[no-any-return]
        return rebuild, (self.exc, self.tb, *self.told)


class _Unpickled(_UNPICKLED):  # type: ignore[misc, valid-type]
    """What is sent instead of a result or an exception that does not pickle."""

    __module__ = _UNPICKLED.__module__
    __qualname__ = _UNPICKLED.__qualname__

    def __init__(self, exc: BaseException, value: Any) -> None:
        # Its own __init__ finds its base by the name that is ours now.
        self.exc, self.value = repr(exc), repr(value)
        Exception.__init__(self, self.exc, self.value)
        self._told: Told | None = getattr(value, "told", None)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Unpickle to the pool's own class."""
        return rebuild_unpickled, (self.exc, self.value, *(self._told or ()))


def rebuild(exc: Any, tb: str, key: int, times: array[int]) -> Any:
    """Note a failed task, and give its exception as the pool does.

    Args:
        exc: The exception.
        tb: Its traceback in the worker.
        key: Which task it was.
        times: Clocks at start and end of each of its calls.
    """
    return arrive_failed(pool.rebuild_exc(exc, tb), key, times)  # type: ignore[attr-defined]


def rebuild_unpickled(reason: str, value: str, *told: Any) -> Any:
    """Note a task whose end did not pickle, and give the exception that says so.

    Args:
        reason: Why it did not pickle.
        value: What did not.
        told: Key and timings of the task, if they are known.
    """
    error = _UNPICKLED(reason, value)
    error.exc, error.value = reason, value
    return arrive_failed(error, *told) if told else error


def install() -> None:
    """Take the place of the two classes, in this worker process."""
    if pool.ExceptionWithTraceback is _RAISED:  # type: ignore[attr-defined]
        pool.ExceptionWithTraceback = _Raised  # type: ignore[attr-defined]
    if pool.MaybeEncodingError is _UNPICKLED:  # type: ignore[attr-defined]
        pool.MaybeEncodingError = _Unpickled  # type: ignore[attr-defined]
