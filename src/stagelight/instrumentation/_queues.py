"""Queues of the standard library, as the application makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagelight.instrumentation import _hooks
from stagelight.instrumentation._made import watch

if TYPE_CHECKING:
    from types import ModuleType


def install() -> None:
    """Watch for queues, each kind as soon as its module is there."""
    _hooks.when_imported("queue", _threads)
    _hooks.when_imported("asyncio.queues", _tasks)
    _hooks.when_imported("multiprocessing.queues", _processes)


def _threads(module: ModuleType) -> None:
    watch(module.Queue, "queue", "queue")


def _tasks(module: ModuleType) -> None:
    watch(module.Queue, "queue", "asyncio")


def _processes(module: ModuleType) -> None:
    watch(module.Queue, "queue", "multiprocessing")
