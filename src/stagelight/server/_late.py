"""Importing what serves only once somebody asks, as if it had been done at once."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, Final

from stagelight._registry import LATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.machinery import ModuleSpec

#: What the server needs of others, beside the standard library.
OTHERS: Final = frozenset(
    {
        *("anyio", "click", "exceptiongroup", "h11", "idna", "psutil", "sniffio"),
        *("starlette", "typing_extensions", "uvicorn"),
    }
)
_WATCHES: Final = ("psutil", "stagelight.health._monitor")
_SERVES: Final = (
    *_WATCHES,
    "hmac",
    "stagelight.server._app",
    "stagelight.server._local",
    "stagelight.server._running",
    # What starlette and uvicorn load by name at their first use.
    "anyio._backends._asyncio",
    "uvicorn.lifespan.off",
)


class Pinned:
    """Finds modules where they were to be found when it was made, for one thread.

    It is made as the server package is imported.

    The program may change ``sys.path`` before somebody asks.
    """

    def __init__(self) -> None:
        self._path = list(sys.path)
        self._loaded: set[str] = set()
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
    def _used(self) -> Iterator[None]:
        self._thread = threading.get_ident()
        sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            sys.meta_path.remove(self)

    def load(self, *, watches_only: bool = False) -> None:
        """Import what serves, or only what watches.

        Args:
            watches_only: Whether the latter will do.
        """
        # Once: what the program has of the same names is none of ours.
        wanted = [
            one
            for one in (_WATCHES if watches_only else _SERVES)
            if one not in self._loaded
        ]
        with LATE, self._used():
            for name in wanted:
                importlib.import_module(name)
                self._loaded.add(name)


PINNED: Final = Pinned()
