"""Times what an observed call costs, where and as the workers make theirs."""

from __future__ import annotations

import os
import threading
from contextvars import Context
from functools import partial
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

from stagelight._call import compile_wrapper
from stagelight._current import CURRENT, POSSIBLE
from stagelight._distribution import NEVER, Distribution
from stagelight._producers import SEEKING
from stagelight._quiet import Quiet
from stagelight._records import StageRecord
from stagelight._registry import PipelineRecord
from stagelight._slots import ON_TURN, PENDING, TRACING, Slot, Worker
from stagelight._toll import COSTS, INTERRUPTED, SAMPLE, toll_of
from stagelight._tracer import TRACER
from stagelight._workers import ALERT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stagelight._records import Kind

_WARM: Final = 64
#: A journey must not begin while coroutines and items are sampled, in nanoseconds.
_AHEAD: Final = 2_000_000
#: Bits of ``Worker.alert`` that only its own thread changes.
_OWN: Final = PENDING | SEEKING


class _Twin:
    """A stage of ours that does nothing, with a worker that no thread has.

    Its calls take the very paths of other calls, and leave nothing behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.stage = StageRecord(PipelineRecord("stagelight"), "cost", "call", "cost")
        self._call = compile_wrapper(self.stage, _nothing)
        self._coroutine = compile_wrapper(self.stage, _later, kind="coroutine")
        self._items = compile_wrapper(self.stage, _many, kind="generator")
        space = getattr(self._call, "__globals__", {})
        #: Whether it can be kept from beginning a journey that is sampled.
        self._safe = "_tracer" in space
        if self._safe:
            space["_tracer"] = self
        self.due = NEVER
        self.running = TRACER.running
        self._worker = Worker()
        self._slot = Slot(self.stage, self._worker)
        self._slot.roll = NEVER
        self._turn = 0
        self._warm: set[str] = set()
        items = _many(None)
        #: What the same calls take without us, the clock included.
        self._bare = {
            "call": _best(_nothing),
            "coroutine": _best(partial(_await, _later)),
            "item": _best(partial(next, items)),
        }
        COSTS.plain = _best(Distribution().record, 1)

    def sample(self, kind: Kind = "call") -> None:
        """Time some calls in this thread, unless another one does.

        Args:
            kind: How the stage runs that is called here.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            slot, worker, local = self._slot, self._worker, self.stage.local
            local.slot = slot
            self._turn ^= 1
            if self._turn or not self._may_be_light():
                self._time("short", "call", self._call)
            else:
                self._be_traced(worker)
                self._time("light", "call", self._call)
            if kind in {"coroutine", "generator"}:
                # What runs in a context of its own finds no turn of the program's.
                Context().run(self._sample_steps, kind, worker)
            del local.slot
        finally:
            self._lock.release()

    def _sample_steps(self, kind: Kind, worker: Worker) -> None:
        """Time coroutines or items, on the path that those of this thread take."""
        path = name = "coroutine" if kind == "coroutine" else "item"
        if TRACER.on:
            if not POSSIBLE or TRACER.sdk_decides or TRACER.due < clock() + _AHEAD:
                return
            path += "_light"
            self._be_traced(worker)
        if kind == "coroutine":
            self._time(path, name, partial(_await, self._coroutine))
            return
        items = self._items(None)
        self._time(path, name, partial(next, items))
        items.close()

    @staticmethod
    def _be_traced(worker: Worker) -> None:
        worker.alert = TRACING
        if worker.quiet is None:
            worker.quiet = Quiet()

    def _may_be_light(self) -> bool:
        """Whether this thread's calls can be light ones, here and now."""
        if not (TRACER.on and self._safe and POSSIBLE) or CURRENT.get():
            return False
        self.running = TRACER.running
        return self.running() is None

    def _time(self, path: str, kind: str, call: Callable[[None], object]) -> None:
        # A full buffer would turn the slot over, as if it were that of a worker.
        self._slot.fold()
        if path not in self._warm:
            self._warm.add(path)
            for _ in range(_WARM):  # the interpreter adapts to what it runs often
                call(None)
        start = clock()
        call(None)
        after = clock()
        call(None)
        call(None)
        call(None)
        call(None)
        end = clock()
        bare = self._bare[kind]
        COSTS.learn(f"{path}_cold", max(after - start - bare, 1))
        COSTS.learn(path, max((end - after) / 4 - bare, 1))
        worker = self._worker
        worker.reset(0)
        self._slot.since = 0


def _nothing(event: Any) -> Any:
    return event


async def _later(event: Any) -> Any:
    return event


def _many(event: Any) -> Iterator[Any]:
    while True:
        yield event


def _await(function: Callable[[None], Any], event: None = None) -> None:
    coroutine = function(event)
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()  # it never waits: nobody sees this


def _best(call: Callable[[Any], object], event: Any = None) -> float:
    """Nanoseconds of one of four calls, a share of the clock's own included."""
    best = NEVER
    for _ in range(40):
        start = clock()
        call(event)
        call(event)
        call(event)
        call(event)
        best = min(best, clock() - start)
    return best / 4


_TWINS: Final[list[_Twin]] = []


def _on_turn(slot: Slot, now: int) -> None:
    worker = slot.worker
    if (worker.alert ^ ALERT[0]) & ~_OWN:
        # It was changed from another thread just as this one changed it.
        worker.alert = worker.alert & _OWN | ALERT[0] & ~_OWN
    toll = toll_of(worker)
    toll.apart += min(slot.turned - now, INTERRUPTED)
    if now >= toll.sample_due:
        toll.sample_due = now + SAMPLE
        if not _TWINS:
            _TWINS.append(_Twin())
        _TWINS[0].sample(slot.stage.kind)
    toll.reckon(worker, now)


def register() -> None:
    """Sample and reckon from now on."""
    ON_TURN.append(_on_turn)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_TWINS.clear)
