"""Modules that are imported late, as if it had been done at once."""

from __future__ import annotations

import contextlib
import sys
import threading
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.machinery import ModuleSpec


class Pinned:
    """Finds modules where they were to be found when it was made, for one thread.

    The program may change ``sys.path`` before they are needed.
    """

    def __init__(self) -> None:
        self._path = list(sys.path)
        self._thread = 0

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> ModuleSpec | None:
        """The module that a name stood for, or None where that is not asked.

        Args:
            name: Its full name.
            path: Where its package is, None for a module of the highest level.
            target: Not used.
        """
        if path is not None or threading.get_ident() != self._thread:
            return None
        return PathFinder.find_spec(name, self._path, target)

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Have the calling thread find modules there."""
        self._thread = threading.get_ident()
        sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            sys.meta_path.remove(self)
