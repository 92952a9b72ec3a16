"""Observe executors: backlog as a queue, tasks as a stage, and their workers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from stagelight._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._buffers import PoolRecord
    from stagelight._records import StageRecord

#: Class -> module that observes it and its word for the workers.
_OBSERVERS: Final = {
    "concurrent.futures.process.ProcessPoolExecutor": ("_processes", "process"),
    "concurrent.futures.thread.ThreadPoolExecutor": ("_threads", "thread"),
    "concurrent.futures._base.Executor": ("_threads", "thread"),
    "multiprocessing.pool.ThreadPool": ("_multiprocessing", "thread"),
    "multiprocessing.pool.Pool": ("_multiprocessing", "process"),
}

#: Told in a worker process before its first task, to set up what it exports.
ON_CHILD: Final[list[Callable[[], None]]] = []


def _observer(executor: Any) -> tuple[str, str]:
    names = (
        f"{base.__module__}.{base.__qualname__}" for base in type(executor).__mro__
    )
    for name in names:
        if name in _OBSERVERS:
            return _OBSERVERS[name]
    raise ConfigurationError(
        f"pipeline.pool() got {executor!r}, a {type(executor).__qualname__}; it takes "
        "a concurrent.futures executor (ThreadPoolExecutor, ProcessPoolExecutor, or "
        "another subclass of Executor), or a multiprocessing Pool or ThreadPool"
    )


def pool_kind(executor: Any) -> str:
    """``thread`` or ``process``.

    Args:
        executor: A ``concurrent.futures`` executor, or a ``multiprocessing`` pool.

    Raises:
        ConfigurationError: It is none.
    """
    return _observer(executor)[1]


def observe_pool(
    executor: Any, record: PoolRecord, stage: Callable[[], StageRecord]
) -> None:
    """Observe an executor in place.

    Args:
        executor: The executor.
        record: Where its backlog and workers are recorded.
        stage: Makes the stage of its tasks, for those that are no stage themselves.
    """
    module = importlib.import_module(f"{__name__}.{_observer(executor)[0]}")
    module.observe(executor, record, stage)
