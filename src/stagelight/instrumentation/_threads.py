"""Threads that the application starts: they go on with the context of who did.

Hooked is what runs a thread, not ``run``, which subclasses override.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import wrapt
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
_ORIGINALS: Final[dict[str, Any]] = {}


def install() -> None:
    """Let the application's threads go on with the context of who starts them."""
    if _ORIGINALS:
        return
    for name, wrapper in zip(_NAMES, (_start, _run), strict=True):
        _ORIGINALS[name] = threading.Thread.__dict__[name]
        wrapt.wrap_function_wrapper(threading.Thread, name, wrapper)


def uninstall() -> None:
    """Undo ``install``."""
    for name, original in _ORIGINALS.items():
        found = threading.Thread.__dict__[name]
        # Who wrapped it after us keeps us inside of theirs, where we do nothing more.
        if getattr(found, "_self_wrapper", None) in {_start, _run}:
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


def _start(
    wrapped: Callable[..., None],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    try:
        if _ORIGINALS and _by_application():
            heritage = bequeath(instance)
            if heritage is not None:
                setattr(instance, _HERITAGE, heritage)
    except Exception as error:  # noqa: BLE001 - never into the program
        _guard.caught("thread", error)
    try:
        wrapped(*args, **kwargs)
    except BaseException as error:
        step_aside(error)
        raise


def _run(
    wrapped: Callable[..., None],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    token = None
    try:
        heritage: Heritage | None = instance.__dict__.pop(_HERITAGE, None)
        if heritage is not None:
            token = inherit(heritage, attached=_is_attached(instance))
    except Exception as error:  # noqa: BLE001 - never into the program
        _guard.caught("thread", error)
    try:
        wrapped(*args, **kwargs)
    finally:
        if token is not None:
            otel_context.detach(token)


def _is_attached(thread: threading.Thread) -> bool:
    """Whether contrib's instrumentor makes the context current around ``run``."""
    kind = type(thread)
    own = kind.run is not threading.Thread.run and kind.run is not threading.Timer.run
    return hasattr(thread, _CONTRIB) and not own
