"""Observe queues of the standard library, whatever joins the stages with them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from stagelight._errors import ConfigurationError

if TYPE_CHECKING:
    from stagelight._buffers import QueueRecord

#: Class -> module that observes it; found by name, so that none is imported for it.
_OBSERVERS: Final = {
    "queue.Queue": "_threads",
    "asyncio.queues.Queue": "_tasks",
    "multiprocessing.queues.Queue": "_processes",
}
_SIMPLE: Final = {"_queue.SimpleQueue", "queue._PySimpleQueue"}


def _names(target: Any) -> list[str]:
    return [f"{base.__module__}.{base.__qualname__}" for base in type(target).__mro__]


def observe_queue(target: Any, record: QueueRecord) -> Any:
    """Observe a queue.

    Args:
        target: The queue.
        record: Where it is recorded.

    Returns:
        The same object, or for a ``SimpleQueue`` a wrapper of it.

    Raises:
        ConfigurationError: It is no queue that we know.
    """
    for name in _names(target):
        if name in _SIMPLE:
            from stagelight._queue._simple import ObservedSimpleQueue

            return ObservedSimpleQueue(target, record)
        if name in _OBSERVERS:
            module = importlib.import_module(f"{__name__}.{_OBSERVERS[name]}")
            module.observe(target, record)
            return target
    message = (
        f"pipeline.queue() got {target!r}, a {type(target).__qualname__}; it takes "
        "queue.Queue (and subclasses), queue.SimpleQueue, asyncio.Queue, "
        "multiprocessing.Queue or multiprocessing.JoinableQueue"
    )
    raise ConfigurationError(message)
