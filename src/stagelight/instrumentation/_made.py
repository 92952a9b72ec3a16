"""Hooks into a class's ``__init__``, by which the application's objects are found."""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight._aside import step_aside
from stagelight.instrumentation._ledger import LEDGER
from stagelight.instrumentation._origin import asker, is_application

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

_OURS: Final = "__stagelight_made__"
_PATCHED: Final[list[tuple[type, Any]]] = []
#: Places in libraries that are known to make objects of a class for themselves.
_MOST: Final = 64


def watch(
    kind: type, what: str, package: str, given: Callable[[Any], str] | None = None
) -> None:
    """Observe each object of a class that the application makes.

    Args:
        kind: The class; its subclasses come here by ``super().__init__()``.
        what: ``queue`` or ``pool``.
        package: Top-level package of the class.
        given: Reads the name that such an object has already.
    """
    original = kind.__dict__["__init__"]
    if getattr(original, _OURS, False):
        return
    libraries: dict[int, CodeType] = {}

    @wraps(original)
    def made(instance: Any, /, *args: Any, **kwargs: Any) -> None:
        try:
            original(instance, *args, **kwargs)
        except BaseException as error:
            step_aside(error)
            raise
        try:
            direct = sys._getframe(1)  # noqa: SLF001 - no other way
            if id(direct.f_code) in libraries:
                return
            frame = asker(instance, package)
            if frame is not None and is_application(frame.f_code.co_filename):
                LEDGER.observe(instance, what, frame, given(instance) if given else "")
            else:
                LEDGER.decline(what, *_by_library(instance, frame))
                if frame is direct and len(libraries) < _MOST:
                    libraries[id(frame.f_code)] = frame.f_code
        except Exception as error:  # noqa: BLE001 - never into the program
            _guard.caught("instrument", error)

    setattr(made, _OURS, True)
    kind.__init__ = made  # type: ignore[misc]
    _PATCHED.append((kind, original))


def _by_library(made: object, frame: FrameType | None) -> tuple[str, str]:
    """What a library made for itself, and why it is not observed."""
    where = "a library"
    if frame is not None:
        where = str(frame.f_globals.get("__name__", "a library"))
    name = type(made).__qualname__
    return f"{name} of {where}", "no file of the application made it"


def unwatch() -> None:
    """Put every ``__init__`` back; what was observed stays so."""
    while _PATCHED:
        kind, original = _PATCHED.pop()
        kind.__init__ = original  # type: ignore[misc]
