"""Threads that the application starts: they go on with the context of who did.

Hooked is what runs a thread, not ``run``, which subclasses override.
"""

from __future__ import annotations

import sys
import threading
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from stagelight import _guard
from stagelight._aside import is_ours, step_aside
from stagelight._heritage import Heritage, bequeath, inherit
from stagelight.instrumentation._origin import is_application

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES: Final = ("start", "_bootstrap_inner")
_HERITAGE: Final = "_stagelight_heritage"
#: What opentelemetry-instrumentation-threading notes on a thread, for its ``run``.
_CONTRIB: Final = "_otel_context"
_BETWEEN: Final = frozenset({"threading", "wrapt", "opentelemetry"})
#: Name -> what was there, and what stands there now.
_ORIGINALS: Final[dict[str, tuple[Any, Any]]] = {}


def install() -> None:
    """Let the application's threads go on with the context of who starts them."""
    if _ORIGINALS:
        return
    for name, wrapping in zip(_NAMES, (_starting, _running), strict=True):
        original = threading.Thread.__dict__[name]
        # No wrapper of wrapt's: every program starts with this, and to load it takes
        # as long as all else that is loaded for a start.
        wrapper = wraps(original)(wrapping(original))
        _ORIGINALS[name] = original, wrapper
        setattr(threading.Thread, name, wrapper)


def uninstall() -> None:
    """Undo ``install``."""
    for name, (original, wrapper) in _ORIGINALS.items():
        # Who wrapped it after us keeps us inside of theirs, where we do nothing more.
        if threading.Thread.__dict__[name] is wrapper:
            setattr(threading.Thread, name, original)
    _ORIGINALS.clear()


def _by_application() -> bool:
    """Whether a file of the application starts the thread; a pool's are the pool's."""
    frame = sys._getframe(2)  # noqa: SLF001 - no other way
    while True:
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if name not in _BETWEEN and not is_ours(frame.f_code.co_filename):
            return is_application(frame.f_code.co_filename)
        if frame.f_back is None:
            return False
        frame = frame.f_back


def _starting(start: Callable[..., None]) -> Callable[..., None]:
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            if _ORIGINALS and _by_application():
                heritage = bequeath(self)
                if heritage is not None:
                    setattr(self, _HERITAGE, heritage)
        except Exception as error:  # noqa: BLE001 - never into the program
            _guard.caught("thread", error)
        try:
            start(self, *args, **kwargs)
        except BaseException as error:
            step_aside(error)
            raise

    return wrapper


def _running(run: Callable[..., None]) -> Callable[..., None]:
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        token = None
        try:
            heritage: Heritage | None = self.__dict__.pop(_HERITAGE, None)
            if heritage is not None:
                token = inherit(heritage, attached=_is_attached(self))
        except Exception as error:  # noqa: BLE001 - never into the program
            _guard.caught("thread", error)
        try:
            run(self, *args, **kwargs)
        finally:
            if token is not None:
                otel_context.detach(token)

    return wrapper


def _is_attached(thread: threading.Thread) -> bool:
    """Whether contrib's instrumentor makes the context current around ``run``."""
    kind = type(thread)
    own = kind.run is not threading.Thread.run and kind.run is not threading.Timer.run
    return hasattr(thread, _CONTRIB) and not own
