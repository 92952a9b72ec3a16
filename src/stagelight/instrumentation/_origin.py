"""Whose code it is: the application's, or a library's."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stagelight._aside import is_ours
from stagelight.instrumentation.frameworks._catalog import is_known

if TYPE_CHECKING:
    from types import FrameType

_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
_KNOWN: Final[dict[str, bool]] = {}
#: Folders whose files are the application's although they are installed.
_PROGRAM: Final[list[str]] = []
_DEEP: Final = 64
#: Package of a class -> another one that makes such objects for the application: an
#: event loop makes its default executor when it is first needed.
_MAKERS: Final = {"concurrent": "asyncio"}


def _folder(path: str) -> str:
    return os.path.join(path, "")  # noqa: PTH118 - prefixes of texts, on a warm path


_OWN: Final = _folder(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120


def _foreign_folders() -> tuple[str, ...]:
    paths = [_OWN]
    for key in ("stdlib", "platstdlib"):
        path = sysconfig.get_path(key)
        if path:
            paths += [path, os.path.realpath(path)]
    # In a virtual environment the paths above are those of the base already.
    return tuple({_folder(path) for path in paths})


_FOREIGN: Final = _foreign_folders()


def add_program(folder: str) -> None:
    """Count an installed package as the application: it is the program being run.

    Args:
        folder: Where the package is.
    """
    if _INSTALLED & set(Path(folder).parts):
        _PROGRAM.append(_folder(folder))
        _KNOWN.clear()


def programs() -> tuple[str, ...]:
    """Folders of installed packages that count as the application."""
    return tuple(_PROGRAM)


def is_application(filename: str) -> bool:
    """Whether a source file belongs to the application.

    Args:
        filename: ``co_filename`` of its code.
    """
    known = _KNOWN.get(filename)
    if known is None:
        known = _KNOWN[filename] = _look(filename)
    return known


def _look(filename: str) -> bool:
    if not filename or filename.startswith("<"):
        return False
    path = os.path.abspath(filename)  # noqa: PTH100 - as above
    if path.startswith(tuple(_PROGRAM)):
        return True
    if path.startswith(_FOREIGN):
        return False
    return not _INSTALLED & set(Path(path).parts) and not is_known(_package(path))


def _package(path: str) -> str:
    """Name of the top-level package that a file is in: a framework's own checkout."""
    folder, name = os.path.dirname(path), ""  # noqa: PTH120 - as above
    while os.path.exists(os.path.join(folder, "__init__.py")):  # noqa: PTH110, PTH118
        folder, name = os.path.split(folder)
    return name


def asker(made: object, package: str) -> FrameType | None:
    """The frame that asked for an object, whosever it is, or None.

    Frames of the standard library's own package, of generated code and of subclasses'
    ``__init__`` say nothing of who asked for the object.

    Args:
        made: The object, whose base class is being initialised.
        package: Top-level package that the base class belongs to.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - no other way
    for _ in range(_DEEP):
        if frame is None or not _is_between(frame, made, package):
            return frame
        frame = frame.f_back
    return frame


def _is_between(frame: FrameType, made: object, package: str) -> bool:
    code = frame.f_code
    if code.co_filename.startswith("<") or is_ours(code.co_filename):
        return True
    if code.co_name == "__init__" and code.co_argcount:
        return frame.f_locals.get(code.co_varnames[0]) is made
    module = frame.f_globals.get("__name__", "")
    return isinstance(module, str) and module.partition(".")[0] in {
        package,
        "wrapt",
        _MAKERS.get(package),
    }
