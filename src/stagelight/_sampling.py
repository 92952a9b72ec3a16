"""Times what an observed call costs, where and as the workers make theirs."""

from __future__ import annotations

import os
import threading
from time import perf_counter_ns as clock
from typing import Any, Final

from stagelight._call import compile_wrapper
from stagelight._current import CURRENT, POSSIBLE
from stagelight._distribution import NEVER
from stagelight._quiet import Quiet
from stagelight._records import StageRecord
from stagelight._registry import PipelineRecord
from stagelight._slots import NO_SLOT, ON_TURN, PENDING, TRACING, Slot, Worker
from stagelight._toll import COSTS, INTERRUPTED, SAMPLE, toll_of
from stagelight._tracer import TRACER
from stagelight._workers import ALERT

_WARM: Final = 64


class _Twin:
    """A stage of ours that does nothing, with a worker that no thread has.

    Its calls take the very paths of other calls, and leave nothing behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.stage = StageRecord(PipelineRecord("stagelight"), "cost", "call", "cost")
        self._call = compile_wrapper(self.stage, _nothing)
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
        self._pause = min(_gap() for _ in range(20))

    def sample(self) -> None:
        """Time some calls in this thread, unless another one does."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            slot, worker, local = self._slot, self._worker, self.stage.local
            local.slot = slot
            self._turn ^= 1
            if self._turn or not self._may_be_light():
                self._time("short", slot, worker)
            else:
                worker.alert = TRACING
                if worker.quiet is None:
                    worker.quiet = Quiet()
                self._time("light", slot, worker)
            del local.slot
            slot.fold()
        finally:
            self._lock.release()

    def _may_be_light(self) -> bool:
        """Whether this thread's calls can be light ones, here and now."""
        if not (TRACER.on and self._safe and POSSIBLE) or CURRENT.get():
            return False
        self.running = TRACER.running
        return self.running() is None

    def _time(self, path: str, slot: Slot, worker: Worker) -> None:
        call = self._call
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
        COSTS.learn(f"{path}_cold", max(after - start - self._pause, 1))
        COSTS.learn(path, max((end - after - self._pause) / 4, 1))
        worker.alert = 0
        worker.slot = NO_SLOT
        worker.trail = worker.journey = None
        slot.since = 0


def _nothing(event: Any) -> Any:
    return event


def _gap() -> int:
    start = clock()
    return clock() - start


_TWINS: Final[list[_Twin]] = []


def _on_turn(slot: Slot, now: int) -> None:
    worker = slot.worker
    if (worker.alert ^ ALERT[0]) & ~PENDING:
        # It was changed from another thread just as this one changed it.
        worker.alert = worker.alert & PENDING | ALERT[0] & ~PENDING
    toll = toll_of(worker)
    toll.apart += min(slot.turned - now, INTERRUPTED)
    if now >= toll.sample_due:
        toll.sample_due = now + SAMPLE
        if not _TWINS:
            _TWINS.append(_Twin())
        _TWINS[0].sample()
    toll.reckon(worker, now)


def register() -> None:
    """Sample and reckon from now on."""
    ON_TURN.append(_on_turn)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_TWINS.clear)
