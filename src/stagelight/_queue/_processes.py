"""Observe ``multiprocessing.Queue`` and ``JoinableQueue`` in place.

Between processes the carrier has to travel, so an event is pickled inside an envelope
that *unpickles to the event itself* and leaves the carrier with the reader, whether
the reader's process observes the queue or not.
"""

from __future__ import annotations

import inspect
import queue
import threading
import weakref
from collections import deque
from multiprocessing import queues
from time import perf_counter_ns as clock
from typing import Any

from stagelight import _guard, _names
from stagelight._aside import step_aside
from stagelight._buffers import QueueRecord
from stagelight._carrier import pack, unpack
from stagelight._journey import Journey, Turn
from stagelight._known import OBSERVED
from stagelight._onward import carry
from stagelight._queue._flow import (
    Flow,
    begin_wait_for_event,
    begin_wait_for_room,
    end_wait_for_event,
    end_wait_for_room,
)
from stagelight._queue._mirror import FifoMirror
from stagelight._registry import REGISTRY
from stagelight._turns import fetched
from stagelight._twin import become_twin
from stagelight._workers import this_worker

#: ``maxsize`` that multiprocessing puts in for "no bound" is at least this.
_UNBOUNDED = 2**15 - 1


class _Arrived(threading.local):
    """How many envelopes this thread has opened."""

    number = 0


_ARRIVED = _Arrived()


class Envelope:
    """An event on its way to another process, with its carrier beside it."""

    __slots__ = ("_arguments", "item")

    def __init__(self, item: object, record: QueueRecord, journey: Journey) -> None:
        self.item = item
        self._arguments = (
            clock(),
            journey.began,
            pack(journey),
            record.pipeline.name,
            record.name,
        )

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Unpickle to the event."""
        return open_envelope, (self.item, *self._arguments)


def open_envelope(  # noqa: PLR0913, PLR0917 - the wire format
    item: object,
    enqueued: int,
    began: int,
    carrier: dict[str, str],
    pipeline: str,
    name: str,
) -> object:
    """Note a fetched event, and return it.

    Clocks are compared across processes: ``perf_counter_ns`` is the machine's
    monotonic clock on Linux, macOS and Windows.

    Args:
        item: The event.
        enqueued: Clock at the put.
        began: Clock at the start of its journey.
        carrier: Its trace context as the propagators wrote it.
        pipeline: Name of the pipeline.
        name: Name of the queue.
    """
    try:
        _ARRIVED.number += 1
        record = _record(pipeline, name)
        wait = max(clock() - enqueued, 0)
        with record.lock:
            record.dequeued += 1
            record.wait.record(wait)
        turn = Turn(id(item), unpack(began, carrier), record.pipeline, name)
        turn.wait = wait
        fetched(this_worker(), turn)
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("get", error)
    return item


def revive(value: tuple[Any, ...], pipeline: str, name: str) -> Any:
    """Unpickle a queue and observe it, in a process that got it from another.

    Args:
        value: How it pickles itself: function, arguments, state.
        pipeline: Name of the pipeline.
        name: Name of the queue.
    """
    function, arguments, state = value[:3]
    target = function(*arguments)
    target.__setstate__(state)
    try:
        record = _record(pipeline, name)
        observe(target, record)
        record.owner = weakref.ref(target)
        OBSERVED.add(target, record)
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("revive", error)
    return target


def _record(pipeline: str, name: str) -> QueueRecord:
    home = REGISTRY.pipeline(pipeline)
    with REGISTRY.lock:
        return home.queues.setdefault(name, QueueRecord(home, name))


def observe(target: Any, record: QueueRecord) -> None:
    """Hook one queue, before its first put.

    Args:
        target: A ``multiprocessing.queues.Queue``.
        record: Where it is recorded.
    """
    ref = weakref.ref(target)
    flow = _ProcessFlow(record, FifoMirror())
    become_twin(target, flow, _hooks)
    record.shared = True
    record.size = lambda: _size(ref())
    record.oldest = lambda: flow.oldest(_size(ref()))
    record.capacity = lambda: _capacity(ref())


class _ProcessFlow(Flow):
    """The record of one queue, and when this process put what may still be in it."""

    def __init__(self, record: QueueRecord, mirror: FifoMirror) -> None:
        super().__init__(record, mirror)
        self._stamps: deque[int] = deque()

    def revive(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        """A queue that travels to another process is observed there as well."""
        record = self.record
        return revive, (value, record.pipeline.name, record.name)

    def count(self, size: int | None) -> None:
        """Note an event that went in, and the size of the queue after it."""
        record, stamps = self.record, self._stamps
        with record.lock:
            record.enqueued += 1
            if size is None:
                return
            stamps.append(clock())
            while len(stamps) > max(size, 1):
                stamps.popleft()
            record.peak.note(size)
            self.now_at(size)

    def oldest(self, size: int | None) -> int | None:
        """Clock at the oldest put of this process that may still be in the queue."""
        stamps = list(self._stamps)
        return stamps[-min(size, len(stamps))] if size and stamps else None


def _hooks(kind: Any) -> dict[str, Any]:
    plain = kind.put in {queues.Queue.put, queues.JoinableQueue.put}
    return {
        "put": (_plain_put if plain else _own_put)(kind),
        "get": _get_hook(kind),
        "_on_queue_feeder_error": _feeder_hook(kind),
    }


def _plain_put(kind: Any) -> Any:
    outer_put = kind.put

    def put(
        self: Any,
        obj: Any,
        block: bool = True,  # noqa: FBT001, FBT002
        timeout: float | None = None,
    ) -> None:
        flow = self.__stagelight__
        sealed = _seal(obj, flow.record)
        try:
            full = False
            try:
                outer_put(self, sealed, block=False)
            except queue.Full:
                if not block:
                    raise
                full = True
            if full:  # outside of ``except``: else it were the next one's context
                flow.now_full()
                flow.speak()
                worker = this_worker()
                begin_wait_for_room(flow, worker)
                try:
                    outer_put(self, sealed, block=True, timeout=timeout)
                finally:
                    end_wait_for_room(flow, worker)
            flow.count(_size(self))
        except BaseException as error:
            if isinstance(error, queue.Full):
                flow.refused(_names.QUEUE_FULL)
            step_aside(error)
            raise
        finally:
            if flow.news:
                flow.speak()

    return put


def _own_put(kind: Any) -> Any:
    outer_put = kind.put

    def put(self: Any, *arguments: Any, **named: Any) -> Any:
        # A put of the user's own may look at the event: it must not see an envelope.
        flow = self.__stagelight__
        try:
            result = outer_put(self, *arguments, **named)
            flow.count(_size(self))
        except BaseException as error:
            if isinstance(error, queue.Full):
                flow.refused(_names.QUEUE_FULL)
            step_aside(error)
            raise
        finally:
            if flow.news:
                flow.speak()
        return result

    return put


def _get_hook(kind: Any) -> Any:
    outer_get = kind.get

    def get(
        self: Any,
        block: bool = True,  # noqa: FBT001, FBT002
        timeout: float | None = None,
    ) -> Any:
        worker = this_worker()
        before = _ARRIVED.number
        if block:
            begin_wait_for_event(worker)
        try:
            item = outer_get(self, block, timeout)
        finally:
            if block:
                end_wait_for_event(worker)
        if _ARRIVED.number == before:
            _bare(item, self.__stagelight__.record)
        return item

    return get


def _feeder_hook(kind: Any) -> Any:
    """An event that does not pickle is reported as the user's own object."""
    inner = inspect.getattr_static(kind, "_on_queue_feeder_error")
    if isinstance(inner, staticmethod):
        complain = inner.__func__
        return staticmethod(lambda error, obj: complain(error, _open(obj)))
    return lambda self, error, obj: inner(self, error, _open(obj))


def _open(obj: object) -> object:
    return obj.item if isinstance(obj, Envelope) else obj


def _bare(item: object, record: QueueRecord) -> None:
    """Note a fetched event that was put where nobody observed."""
    try:
        with record.lock:
            record.dequeued += 1
        turn = Turn(id(item), Journey(clock()), record.pipeline, record.name)
        fetched(this_worker(), turn)
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("get", error)


def _seal(item: object, record: QueueRecord) -> object:
    try:
        return Envelope(item, record, carry(this_worker(), item, record.name))
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("put", error)
        return item


def _size(owner: Any) -> int | None:
    try:
        return None if owner is None else int(owner.qsize())
    except (NotImplementedError, OSError, ValueError):  # macOS; a closed queue
        return None


def _capacity(owner: Any) -> int | None:
    bound = 0 if owner is None else owner._maxsize  # noqa: SLF001
    return bound if 0 < bound < _UNBOUNDED else None
