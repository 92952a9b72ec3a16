"""The record path's plain part in C, where it was built and is wanted.

Everything works the same without it. It is not used where ``STAGELIGHT_NATIVE`` is 0,
nor by interpreters other than CPython or without the interpreter lock, which it needs.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter_ns as clock
from typing import Any, Final

#: Set to 0 to do without.
VARIABLE: Final = "STAGELIGHT_NATIVE"


def _load() -> Any:
    with_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    if (
        os.environ.get(VARIABLE, "").strip() == "0"
        or sys.implementation.name != "cpython"
        or not with_lock
    ):
        return None
    try:
        from stagelight import _native
    except ImportError:
        return None
    # Its clock must be the one that Python reads.
    before, now = clock(), _native.clock()
    return _native if before <= now <= clock() else None


#: The module, or None.
NATIVE: Final[Any] = _load()
