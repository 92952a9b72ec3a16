"""Modules that must not be there when the program starts, and are needed afterwards.

What we have imported would hide the program's own ``click.py``, or its own module
named like one of the standard library's, as plain Python would not.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import ModuleType

    from stagelight.cli._plan import Plan

#: Loaded for the command line only.
_COMMAND: Final = frozenset({"click", "rich"})
#: What plain Python has loaded, or will not do without, before a program starts.
# fmt: off
_ALWAYS: Final = frozenset({
    "__main__", "_abc", "_codecs", "_collections_abc", "_frozen_importlib",
    "_frozen_importlib_external", "_imp", "_io", "_signal", "_sitebuiltins", "_stat",
    "_thread", "_warnings", "_weakref", "abc", "builtins", "codecs", "encodings",
    "genericpath", "io", "marshal", "nt", "ntpath", "opentelemetry", "os", "posix",
    "posixpath", "site", "sitecustomize", "stagelight", "stat", "sys", "time",
    "usercustomize", "winreg", "wrapt", "zipimport",
})
# fmt: on


def is_safe_path() -> bool:
    """Whether Python puts no folder of its own choice first in ``sys.path``."""
    return bool(getattr(sys.flags, "safe_path", sys.flags.isolated))


class SetAside:
    """Takes modules out of ``sys.modules``, and puts them back for the report."""

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}
        self._path: list[str] = []

    def make_room(self, folder: str | None) -> None:
        """Take out what would hide modules of the program.

        Args:
            folder: Where the program's own modules are, or None.
        """
        self._path = list(sys.path)
        names = set(_COMMAND)
        if folder is not None:
            loaded = {name.partition(".")[0] for name in sys.modules} - _ALWAYS
            loaded -= set(sys.builtin_module_names)
            names |= {name for name in loaded if has_module(Path(folder), name)}
        for name in list(sys.modules):
            if name.partition(".")[0] in names:
                self._modules[name] = sys.modules.pop(name)

    def bring_back(self) -> None:
        """Let our own imports work again: the program has ended."""
        sys.modules.update(self._modules)
        if self._path:
            sys.path[:] = self._path


def has_module(folder: Path, name: str) -> bool:
    """Whether a folder has a module or package of a name.

    Args:
        folder: The folder.
        name: The name, of the highest level.
    """
    try:
        return (folder / f"{name}.py").is_file() or (
            folder / name / "__init__.py"
        ).is_file()
    except OSError:
        return False


def hides(plan: Plan, names: frozenset[str]) -> bool:
    """Whether a program has modules of such names, or its folder cannot be looked at.

    Args:
        plan: With the program.
        names: The names, of the highest level.
    """
    folder = _folder(plan)
    try:
        found = {entry.name.partition(".")[0] for entry in os.scandir(folder)}
    except OSError:
        return True
    return any(has_module(folder, name) for name in names & found)


def _folder(plan: Plan) -> Path:
    """Where the program's own modules are."""
    if plan.is_module:
        return Path.cwd()
    path = Path(os.path.realpath(plan.program))
    return path if path.is_dir() else path.parent
