"""Executors and pools of the standard library, as the application makes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from stagelight.instrumentation import _hooks
from stagelight.instrumentation._made import watch

if TYPE_CHECKING:
    from types import ModuleType

#: The prefix that the standard library makes up where none is given.
_MADE_UP: Final = re.compile(r"ThreadPoolExecutor-\d+")


def install() -> None:
    """Watch for executors, each kind as soon as its module is there."""
    _hooks.when_imported("concurrent.futures.thread", _threads)
    _hooks.when_imported("concurrent.futures.process", _processes)
    _hooks.when_imported("multiprocessing.pool", _pools)


def _threads(module: ModuleType) -> None:
    watch(module.ThreadPoolExecutor, "pool", "concurrent", _prefix)


def _processes(module: ModuleType) -> None:
    watch(module.ProcessPoolExecutor, "pool", "concurrent")


def _pools(module: ModuleType) -> None:
    watch(module.Pool, "pool", "multiprocessing")


def _prefix(executor: Any) -> str:
    prefix = str(getattr(executor, "_thread_name_prefix", "") or "").strip()
    return "" if _MADE_UP.fullmatch(prefix) or not prefix.isprintable() else prefix
