"""Importing what serves only once somebody asks, as if it had been done at once."""

from __future__ import annotations

import importlib
from typing import Final

from stagelight._pinned import Pinned
from stagelight._registry import LATE

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


class Later(Pinned):
    """What the server needs; it is made as the server package is imported."""

    def __init__(self) -> None:
        super().__init__()
        self._loaded: set[str] = set()

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
        with LATE, self.used():
            for name in wanted:
                importlib.import_module(name)
                self._loaded.add(name)


PINNED: Final = Later()
