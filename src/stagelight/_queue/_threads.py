"""Observe ``queue.Queue`` and its subclasses in place.

The hooks sit where the standard library calls them under the queue's lock (``_put``,
``_get``) or only when it has to wait (its conditions' ``wait``).
"""

from __future__ import annotations

import queue
import threading
import weakref
from typing import TYPE_CHECKING, Any

from stagelight import _guard, _names
from stagelight._aside import step_aside
from stagelight._guard import PENDING
from stagelight._queue._fast import plain_hooks
from stagelight._queue._flow import (
    NEWS,
    Flow,
    begin_wait_for_event,
    begin_wait_for_room,
    end_wait_for_event,
    end_wait_for_room,
)
from stagelight._queue._mirror import FifoMirror, IdentityMirror, LifoMirror, Mirror
from stagelight._twin import become_twin
from stagelight._workers import this_worker

if TYPE_CHECKING:
    from stagelight._buffers import QueueRecord

_PLAIN = (queue.Queue._put, queue.Queue._get, queue.Queue._qsize)  # noqa: SLF001
_CLOSES = hasattr(queue.Queue, "shutdown")
_OWN = (queue.Queue, queue.LifoQueue, queue.PriorityQueue)
_SHUT_DOWN: type[BaseException] = getattr(queue, "ShutDown", queue.Full)


def observe(target: queue.Queue[Any], record: QueueRecord) -> None:
    """Hook one queue.

    Args:
        target: The queue, in use or not.
        record: Where it is recorded.
    """
    ref = weakref.ref(target)
    flow = Flow(record, _mirror_for(type(target)))
    with target.mutex:
        flow.adopt(getattr(target, "queue", ()))
        plain = type(target) in _OWN
        endless = plain and target.maxsize <= 0 and not _CLOSES
        become_twin(target, flow, _endless_hooks if endless else _hooks)
        if plain:
            # Another class leaves the attributes in a form that the interpreter reads
            # at a quarter of the speed; in a table of their own it does not.
            target.__dict__ = dict(vars(target))
        _time_waits(target.not_full, flow)
        _time_idleness(target.not_empty, flow)
    flow.ask(lambda: ask_size(ref), lambda: ask_bound(ref))


def _hooks(kind: Any) -> dict[str, Any]:
    inner = (kind._put, kind._get, kind._qsize)  # noqa: SLF001
    plain = kind.put is queue.Queue.put
    hooks = {
        **(plain_hooks() if inner == _PLAIN else _inner_hooks(*inner)),
        "put": (_plain_put if plain else _own_put)(kind),
    }
    if hasattr(kind, "shutdown"):
        hooks["shutdown"] = shutdown_hook(kind)
    return hooks


def _endless_hooks(kind: Any) -> dict[str, Any]:
    """Those of a queue that takes everything at once: a put has nothing to tell."""
    return {name: hook for name, hook in _hooks(kind).items() if name != "put"}


def _inner_hooks(inner_put: Any, inner_get: Any, inner_size: Any) -> dict[str, Any]:
    def _put(self: Any, item: Any) -> None:
        inner_put(self, item)
        self.__stagelight__.put(item, inner_size(self))

    def _get(self: Any) -> Any:
        item = inner_get(self)
        flow = self.__stagelight__
        flow.got(item)
        if flow.record.full:
            flow.now_at(inner_size(self))
        return item

    return {"_put": _put, "_get": _get}


def _plain_put(kind: Any) -> Any:
    """The standard library's signature: no tuple and no dict for each event."""
    outer = kind.put

    def put(
        self: Any,
        item: Any,
        block: bool = True,  # noqa: FBT001, FBT002
        timeout: float | None = None,
    ) -> None:
        try:
            outer(self, item, block, timeout)
        except BaseException as error:
            _refused(self.__stagelight__, error)
            step_aside(error)
            raise
        finally:
            if (NEWS and self.__stagelight__.news) or PENDING:
                self.__stagelight__.speak()

    return put


def _own_put(kind: Any) -> Any:
    outer = kind.put

    def put(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return outer(self, *arguments, **named)
        except BaseException as error:
            _refused(self.__stagelight__, error)
            step_aside(error)
            raise
        finally:
            if self.__stagelight__.news or _guard.PENDING:
                self.__stagelight__.speak()

    return put


def _refused(flow: Flow, error: BaseException) -> None:
    if isinstance(error, queue.Full):
        flow.refused(_names.QUEUE_FULL)
    elif isinstance(error, _SHUT_DOWN):
        flow.refused(_names.QUEUE_CLOSED)


def shutdown_hook(kind: Any) -> Any:
    """What an immediate shutdown throws away is not fetched by anybody.

    Args:
        kind: A queue's class that has the method, as from Python 3.13 on.
    """
    inner = kind.shutdown

    def shutdown(self: Any, *arguments: Any, **named: Any) -> Any:
        flow = self.__stagelight__
        flow.drainer = threading.get_ident()
        try:
            return inner(self, *arguments, **named)
        finally:
            flow.drainer = 0

    return shutdown


def _mirror_for(kind: Any) -> Mirror:
    """The mirror that follows a class's order; subclasses may have any."""
    methods = (kind._put, kind._get)  # noqa: SLF001
    if methods == (queue.Queue._put, queue.Queue._get):  # noqa: SLF001
        return FifoMirror()
    if methods == (queue.LifoQueue._put, queue.LifoQueue._get):  # noqa: SLF001
        return LifoMirror()
    return IdentityMirror()


def ask_size(ref: weakref.ref[Any]) -> int | None:
    """Size of a queue, without its lock: the asker may hold it, in a signal handler."""
    owner = ref()
    return None if owner is None else int(getattr(owner, "_qsize", owner.qsize)())


def ask_bound(ref: weakref.ref[Any]) -> int | None:
    """Capacity of a queue, None where it has no bound."""
    owner = ref()
    return owner.maxsize if owner is not None and owner.maxsize > 0 else None


def _time_waits(condition: Any, flow: Flow) -> None:
    ref, inner = weakref.ref(condition), type(condition).wait

    def wait(timeout: float | None = None) -> bool:
        if _spoken(ref(), flow, full=True):
            return True
        worker = this_worker()
        begin_wait_for_room(flow, worker)
        try:
            return bool(inner(ref(), timeout))
        finally:
            end_wait_for_room(flow, worker)

    condition.wait = wait


def _time_idleness(condition: Any, flow: Flow) -> None:
    ref, inner = weakref.ref(condition), type(condition).wait

    def wait(timeout: float | None = None) -> bool:
        if _spoken(ref(), flow):
            return True
        worker = this_worker()
        begin_wait_for_event(worker)
        try:
            return bool(inner(ref(), timeout))
        finally:
            end_wait_for_event(worker)

    condition.wait = wait


def _spoken(condition: Any, flow: Flow, *, full: bool = False) -> bool:
    """Tell the news before a wait that may last, outside of the queue's lock.

    To the caller it is a spurious wakeup, which every user of a condition expects.
    """
    if full:
        flow.now_full()
    if not (flow.news or PENDING):
        return False
    condition.release()
    try:
        flow.speak()
    finally:
        condition.acquire()
    return True
