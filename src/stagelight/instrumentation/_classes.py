"""The application's classes, looked at as they are made.

``__build_class__`` is what a class statement calls, in the main script as well.
"""

from __future__ import annotations

import builtins
import sys
import weakref
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight._aside import is_ours, step_aside
from stagelight._automatic import plain
from stagelight._call import MARK
from stagelight.instrumentation._dispatch import dispatcher
from stagelight.instrumentation._origin import is_application

if TYPE_CHECKING:
    from collections.abc import Callable

_original: Callable[..., Any] | None = None
_PATCHED: Final[weakref.WeakSet[type]] = weakref.WeakSet()
#: Told of every class that a class statement made, before we look for ``process``.
ON_CLASS: Final[list[Callable[[type], None]]] = []


def install() -> None:
    """Look at each class that is made from now on."""
    global _original  # noqa: PLW0603 - one hook in one process
    if _original is not None:
        return
    original = _original = builtins.__build_class__

    def __build_class__(  # noqa: A001, N807 - stands in for it
        func: Callable[[], Any], name: str, /, *bases: Any, **keywords: Any
    ) -> Any:
        try:
            made = original(func, name, *bases, **keywords)
        except BaseException as error:
            step_aside(error)
            raise
        # Most have none: what follows is for each class of each library.
        if isinstance(made, type) and (ON_CLASS or "process" in made.__dict__):
            try:
                _look_at(made, func.__code__.co_filename)
            except Exception as error:  # noqa: BLE001 - never into the program
                _guard.caught("instrument", error)
        return made

    builtins.__build_class__ = __build_class__


def uninstall() -> None:
    """Undo ``install``, and give each class its own method back."""
    global _original  # noqa: PLW0603 - as above
    if _original is not None:
        builtins.__build_class__ = _original
        _original = None
    for kind in list(_PATCHED):
        function = kind.__dict__.get("process")
        if plain(function) is not function:
            type.__setattr__(kind, "process", plain(function))
    _PATCHED.clear()
    ON_CLASS.clear()


def _look_at(made: type, filename: str) -> None:
    if is_ours(filename):
        return
    for tell in ON_CLASS:
        tell(made)
    process = made.__dict__.get("process")
    if (
        isinstance(process, FunctionType)
        and plain(process) is process
        and is_application(filename)
        and _is_stage(made, process)
    ):
        twin = dispatcher(process)
        if twin is not None:
            # A metaclass may have a mind of its own about setting attributes.
            type.__setattr__(made, "process", twin)
            _PATCHED.add(made)


def _is_stage(made: type, process: FunctionType) -> bool:
    """Whether ``process`` is the work of a stage, and not a declaration or a hook."""
    if hasattr(process, MARK) or getattr(process, "__isabstractmethod__", False):
        return False
    if made.__dict__.get("_is_protocol", False):
        return False
    inner: Any = process  # which a decorator of a library may have wrapped
    while isinstance(getattr(inner, "__wrapped__", None), FunctionType):
        inner = inner.__wrapped__
    if not is_application(inner.__code__.co_filename):
        return False  # taken over from a library
    # logging.LoggerAdapter, for one, has a process(msg, kwargs) of its own.
    return not any(
        "process" in base.__dict__ and _is_standard(base) for base in made.__mro__[1:]
    )


def _is_standard(base: type) -> bool:
    return base.__module__.partition(".")[0] in sys.stdlib_module_names
