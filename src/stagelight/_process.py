"""The process itself: how long it runs, and what memory it may use."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Final

from stagelight._cells import NANOSECONDS
from stagelight._registry import LATE, REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterator

_CGROUP: Final = Path("/proc/self/cgroup")
_ROOT: Final = Path("/sys/fs/cgroup")
#: What stands for no limit in version 1 is close to 2 ** 63.
_NO_LIMIT: Final = 1 << 60


def uptime() -> float:
    """Seconds since this process began to record."""
    return (clock() - REGISTRY.started) / NANOSECONDS


def _limits() -> Iterator[int]:
    """The limits of this process's control groups, of both versions."""
    for line in _CGROUP.read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            folder, name = _ROOT, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = _ROOT / "memory", "memory.limit_in_bytes"
        else:
            continue
        inside = folder / path.lstrip("/")
        # In a container the path is the host's, and the root of ours is our group.
        for place in (inside, *inside.parents):
            try:
                # Any other codec would be imported here, and a fork in that moment
                # would leave the child without it.
                text = (place / name).read_text(encoding="utf-8").strip()
            except OSError:
                text = "max"
            if text != "max" and int(text) < _NO_LIMIT:
                yield int(text)
            if place == folder:
                break


_LIMIT: Final[dict[int, int | None]] = {}


def memory_limit() -> int | None:
    """Bytes that this process may use, None where they cannot be told.

    The smallest limit of its control groups, or the machine's memory; read once.
    """
    pid = os.getpid()
    if pid not in _LIMIT:
        _LIMIT.clear()
        _LIMIT[pid] = _find_limit()
    return _LIMIT[pid]


def _find_limit() -> int | None:
    found: list[int] = []
    try:
        found += _limits()
    except (OSError, ValueError):
        found.clear()
    try:
        with LATE:
            import psutil

        found.append(int(psutil.virtual_memory().total))
    except Exception:  # noqa: BLE001, S110 - a broken psutil must not break metrics
        pass
    return min(found, default=None)
