"""Observe ``asyncio.Queue`` and its subclasses in place."""

from __future__ import annotations

import asyncio
import weakref
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from stagelight import _guard, _names
from stagelight._aside import step_aside
from stagelight._journey import TASK_TURN, enclosing, leave_task_turn
from stagelight._producers import Producers
from stagelight._queue._flow import Flow, charge_blocked
from stagelight._queue._mirror import FifoMirror, IdentityMirror, LifoMirror, Mirror
from stagelight._queue._threads import ask_bound, ask_size, shutdown_hook
from stagelight._slots import Slot
from stagelight._twin import become_twin
from stagelight._workers import this_worker

if TYPE_CHECKING:
    from stagelight._buffers import QueueRecord
    from stagelight._frames import Frame
    from stagelight._runs import Run

_SHUT_DOWN: type[BaseException] = getattr(asyncio, "QueueShutDown", asyncio.QueueFull)


class TaskFlow(Flow):
    """The record and the mirror of one queue of tasks."""

    def __init__(self, record: QueueRecord, mirror: Mirror) -> None:
        super().__init__(record, mirror)
        self.producers = Producers(record.name)

    def look(self) -> None:
        """Find which stage feeds it."""
        try:
            self.producers.look(this_worker())
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.noted("put", error)


def observe(target: asyncio.Queue[Any], record: QueueRecord) -> None:
    """Hook one queue.

    Args:
        target: The queue, in use or not.
        record: Where it is recorded.
    """
    ref = weakref.ref(target)
    flow = TaskFlow(record, _mirror_for(type(target)))
    flow.adopt(getattr(target, "_queue", ()))
    become_twin(target, flow, _hooks)
    flow.ask(lambda: ask_size(ref), lambda: ask_bound(ref))


def _hooks(kind: Any) -> dict[str, Any]:
    hooks = {
        **_inner_hooks(kind),
        "put": _put_hook(kind),
        "put_nowait": _put_nowait_hook(kind),
        "get": _get_hook(kind),
    }
    if hasattr(kind, "shutdown"):
        hooks["shutdown"] = shutdown_hook(kind)
    return hooks


def _inner_hooks(kind: Any) -> dict[str, Any]:
    inner_put, inner_get = kind._put, kind._get  # noqa: SLF001

    def _put(self: Any, item: Any) -> None:
        inner_put(self, item)
        flow = self.__stagelight__
        flow.put(item, self.qsize())
        if flow.producers.left:
            flow.look()

    def _get(self: Any) -> Any:
        item = inner_get(self)
        flow = self.__stagelight__
        flow.got(item, task=True)
        if flow.record.full:
            flow.now_at(self.qsize())
        return item

    return {"_put": _put, "_get": _get}


def _put_nowait_hook(kind: Any) -> Any:
    outer_put_nowait = kind.put_nowait

    def put_nowait(self: Any, *arguments: Any, **named: Any) -> Any:
        flow = self.__stagelight__
        try:
            return outer_put_nowait(self, *arguments, **named)
        except BaseException as error:
            if isinstance(error, asyncio.QueueFull):
                flow.refused(_names.QUEUE_FULL)
            elif isinstance(error, _SHUT_DOWN):
                flow.refused(_names.QUEUE_CLOSED)
                flow.counted = id(error)
            step_aside(error)
            raise
        finally:
            if flow.news or _guard.PENDING:
                flow.speak()

    return put_nowait


def _put_hook(kind: Any) -> Any:
    outer_put = kind.put

    async def put(self: Any, *arguments: Any, **named: Any) -> Any:
        if not self.full():
            return await outer_put(self, *arguments, **named)
        flow = self.__stagelight__
        here = enclosing(this_worker())
        slot = _held(here) or flow.producers.only()
        key, now = object(), clock()
        flow.now_full()
        flow.speak()
        flow.record.begin_block(key, now)
        if slot is not None:
            within = slot is getattr(here, "slot", here)
            slot.stage.held[key] = (now, within)
        try:
            return await outer_put(self, *arguments, **named)
        except BaseException as error:
            if isinstance(error, _SHUT_DOWN) and flow.counted != id(error):
                flow.refused(_names.QUEUE_CLOSED)
            step_aside(error)
            raise
        finally:
            took = flow.record.end_block(key, clock())
            if slot is not None:
                slot.stage.held.pop(key, None)
                charge_blocked(slot, took)
            run = this_worker().run
            # A call's first step is light: it is a run since it waited here.
            if run is not None and (run is here or (slot is here is run.slot)):
                run.blocked += took

    return put


def _get_hook(kind: Any) -> Any:
    outer_get = kind.get

    async def get(self: Any, *arguments: Any, **named: Any) -> Any:
        leave_task_turn(this_worker())
        flow = self.__stagelight__
        if flow.news:
            flow.speak()
        if not self.empty():
            return await outer_get(self, *arguments, **named)
        start = clock()
        try:
            item = await outer_get(self, *arguments, **named)
        except BaseException as error:
            step_aside(error)
            raise
        turn = TASK_TURN.get()
        if turn is not None:
            turn.idle += clock() - start
        return item

    return get


def _held(here: Frame | Run | Slot | None) -> Slot | None:
    """Whose a task's wait for room is: the call's that it is in, else its last stage's.

    Asked before it waits. A task may wait long where others come first again and again.
    """
    if isinstance(here, Slot):
        return here
    if here is not None and hasattr(here, "slot"):
        return here.slot
    turn = TASK_TURN.get()
    return turn.slot if turn is not None else None


def _mirror_for(kind: Any) -> Mirror:
    """The mirror that follows a class's order; subclasses may have any."""
    methods = (kind._put, kind._get)  # noqa: SLF001
    if methods == (asyncio.Queue._put, asyncio.Queue._get):  # noqa: SLF001
        return FifoMirror()
    if methods == (asyncio.LifoQueue._put, asyncio.LifoQueue._get):  # noqa: SLF001
        return LifoMirror()
    return IdentityMirror()
