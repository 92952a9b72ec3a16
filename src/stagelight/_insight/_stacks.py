"""Where the longest-running call of a stage is now."""

from __future__ import annotations

import sys
import threading
from itertools import pairwise
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

from stagelight import _driving, _guard
from stagelight._cells import NANOSECONDS
from stagelight._insights import Longest
from stagelight._outcomes import CODE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

    from stagelight._records import StageRecord
    from stagelight._slots import Slot

#: Calls younger than this are nothing special, and their stack costs a look at it.
_LONG: Final = 1_000_000_000
_DEEP: Final = 24
#: The frame in which a coroutine is driven knows its call and the coroutine.
_STEPS: Final = _driving._steps.__code__  # noqa: SLF001 - our own


def longest_calls(stages: Iterable[StageRecord]) -> dict[str, Longest]:
    """Stage to its longest-running call, of those that run for a second or more.

    Args:
        stages: The records.
    """
    found = {}
    for stage in stages:
        try:
            calls = open_calls(stage)
        except Exception as error:  # noqa: BLE001 - a frame may end while it is read
            _guard.caught("stack", error)
            calls = []
        if calls:
            found[stage.name] = calls[0]
    return found


def open_calls(stage: StageRecord, least: int = _LONG, most: int = 1) -> list[Longest]:
    """The longest-running calls of a stage, the longest first.

    Args:
        stage: Its record.
        least: Nanoseconds that they run already.
        most: How many.
    """
    now = clock()
    found: list[tuple[int, Slot, object]] = []
    with stage.lock:
        for one in stage.slots:
            if one.since and stage.kind in {"call", "generator"}:
                found.append((one.since, one, None))
            found += [(start, one, opened) for opened, start in list(one.open.items())]
    old = [one for one in found if now - one[0] >= least]
    old.sort(key=lambda one: one[0])
    return [_shown(*one, now) for one in old[:most]]


def _shown(begun: int, slot: Slot, key: object, now: int) -> Longest:
    seconds = (now - begun) / NANOSECONDS
    if key is not None:
        frames = _task_frames(slot, key)
        if frames:
            return Longest(seconds, "task", _lines(frames))
    return Longest(seconds, *_thread(slot))


def _thread(slot: Slot) -> tuple[str, list[str]]:
    ident = slot.worker.thread
    name = next((one.name for one in threading.enumerate() if one.ident == ident), "")
    frame = sys._current_frames().get(ident)  # noqa: SLF001 - the documented way
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    frames.reverse()
    # From our wrapper on: what is above it is how the thread came to the stage.
    for index, one in enumerate(frames):
        if one.f_code.co_filename == CODE_FILE:
            frames = frames[index:]
            break
    return name or f"thread {ident}", _lines(frames)


def _lines(frames: list[FrameType]) -> list[str]:
    shown = [one for one in frames if one.f_code.co_filename != CODE_FILE]
    return [
        f"{one.f_code.co_filename}:{one.f_lineno} {one.f_code.co_name}"
        for one in shown[-_DEEP:]
    ]


def _task_frames(slot: Slot, key: object) -> list[FrameType]:
    """Frames of the suspended coroutine whose open call is ``key``."""
    asyncio = sys.modules.get("asyncio")
    loop = _loop_of(slot.worker.thread)
    if asyncio is None or loop is None:
        return []
    for task in asyncio.all_tasks(loop):
        frames = list(_chain(task.get_coro()))
        for index, (frame, next_) in enumerate(pairwise([*frames, None])):
            if (
                frame is not None
                and frame.f_code is _STEPS
                and frame.f_locals.get("call") is key
                and next_ is not None
            ):
                return frames[index + 1 :]
    return []


def _chain(awaitable: Any) -> Iterator[FrameType]:
    """Frames from a task's coroutine down to what it waits for."""
    for _ in range(200):
        frame = getattr(awaitable, "cr_frame", None) or getattr(
            awaitable, "gi_frame", None
        )
        if frame is None:
            return
        yield frame
        if frame.f_code is _STEPS:
            awaitable = frame.f_locals.get("coroutine")
        else:
            awaitable = getattr(awaitable, "cr_await", None) or getattr(
                awaitable, "gi_yieldfrom", None
            )


def _loop_of(ident: int) -> Any:
    """The event loop that runs in a thread."""
    frame = sys._current_frames().get(ident)  # noqa: SLF001 - the documented way
    while frame is not None:
        own = frame.f_locals.get("self")
        if own is not None and hasattr(own, "call_soon_threadsafe"):
            return own
        frame = frame.f_back
    return None
