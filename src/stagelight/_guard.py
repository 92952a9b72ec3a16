"""The observer never breaks the observed: our own errors stop here.

They are counted by place, logged once per place, and re-raised only where
``stagelight.testing`` made us strict.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

LOG: Final = logging.getLogger("stagelight")
#: Place -> number of internal errors; read by ``stagelight.telemetry.errors``.
ERRORS: Final[dict[str, int]] = {}
#: Signal -> telemetry items lost on their way out.
LOST: Final[dict[str, int]] = {}
_WARNED: Final[set[str]] = set()
#: Errors that wait to be logged.
PENDING: Final[list[tuple[str, BaseException]]] = []


class _Strictness:
    on = False


STRICT: Final = _Strictness()


def caught(place: str, error: BaseException) -> None:
    """Count and log an internal error, and raise it only under test.

    Args:
        place: Where it happened; a closed set of words.
        error: What was caught.

    Raises:
        BaseException: The error itself, where we are strict.
    """
    first = place not in ERRORS
    ERRORS[place] = ERRORS.get(place, 0) + 1
    if STRICT.on:
        raise error
    if first and not sys.is_finalizing():
        warn(
            "stagelight failed in %s; the pipeline goes on, later errors there are "
            "only counted in stagelight.telemetry.errors",
            place,
            error=error,
        )


def noted(place: str, error: BaseException) -> None:
    """Count an internal error where logging could deadlock; ``speak`` logs it later.

    A queue's hooks run under the queue's own lock, and a logging handler may put into
    that very queue.

    Raises:
        BaseException: The error itself, where we are strict.
    """
    if STRICT.on:
        raise error
    if place in ERRORS:
        ERRORS[place] += 1
    else:
        PENDING.append((place, error))


def speak() -> None:
    """Log what was only noted."""
    while PENDING:
        caught(*PENDING.pop(0))


def warn(message: str, *args: object, error: BaseException | None = None) -> None:
    """Log a warning.

    ``dictConfig`` disables by default every logger that was there before it. One that
    somebody gave a handler of its own is meant to be heard all the same.

    Args:
        message: What to say, with ``%`` placeholders.
        args: What they stand for.
        error: An exception to show below.
    """
    if LOG.handlers:
        LOG.disabled = False
    LOG.warning(message, *args, exc_info=error)


def warn_once(key: str, message: str, *args: object) -> None:
    """Log a warning the first time that its key is seen."""
    if key not in _WARNED:
        _WARNED.add(key)
        warn(message, *args)


def reset() -> None:
    """Forget what was counted and warned of."""
    ERRORS.clear()
    _WARNED.clear()


def _after_fork() -> None:
    """A forked child has lost nothing yet, and its parent has warned for it."""
    ERRORS.clear()
    LOST.clear()
    PENDING.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
