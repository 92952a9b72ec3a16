"""Everything that exists in this process: pipelines, and what they are made of."""

from __future__ import annotations

import os
import threading
from time import perf_counter_ns as clock
from time import process_time
from typing import TYPE_CHECKING, Final

from stagelight import _workers
from stagelight._records import SlotRecord, StageRecord
from stagelight._totals import Totals

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._buffers import PoolRecord, QueueRecord


class PipelineRecord:
    """One pipeline: named stages, queues and pools, and its journeys' durations."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stages: dict[str, StageRecord] = {}
        self.queues: dict[str, QueueRecord] = {}
        self.pools: dict[str, PoolRecord] = {}
        self.journeys = SlotRecord()
        #: Queue or pool -> queues whose events are passed on to it, by no stage.
        self.passes: dict[str, set[str]] = {}
        self.sources: dict[str, object] = {}


class Registry:
    """All records of this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.pipelines: dict[str, PipelineRecord] = {}
        self.started = clock()
        #: Processor time of this process before it began to record, in seconds.
        self.computed = process_time()
        #: Told once, when the first pipeline appears.
        self.on_first: list[Callable[[], None]] = []

    def pipeline(self, name: str) -> PipelineRecord:
        """The record of that name, made on its first use."""
        first = False
        with self.lock:
            record = self.pipelines.get(name)
            if record is None:
                record = self.pipelines[name] = PipelineRecord(name)
                first = len(self.pipelines) == 1
        if first:
            # Without the lock: a reader that collects meanwhile holds one of the SDK
            # that creating instruments needs, and waits for ours.
            for tell in self.on_first:
                tell()
        return record

    def stages(self) -> list[StageRecord]:
        """Every stage of every pipeline that is this process's own."""
        with self.lock:
            found = [s for p in self.pipelines.values() for s in p.stages.values()]
        return [stage for stage in found if not stage.dormant]

    def queues(self) -> list[QueueRecord]:
        """Every queue and every pool's backlog that is this process's own."""
        with self.lock:
            found = [q for p in self.pipelines.values() for q in p.queues.values()]
        found += [pool.backlog for pool in self.pools()]
        return [queue for queue in found if not queue.dormant]

    def pools(self) -> list[PoolRecord]:
        """Every pool of every pipeline that is this process's own."""
        with self.lock:
            found = [pool for p in self.pipelines.values() for pool in p.pools.values()]
        return [pool for pool in found if not pool.backlog.dormant]

    def zero(self) -> None:
        """Forget what was counted, as tests want it; what is open stays open."""
        for slots in (*self.stages(), *(p.journeys for p in self.pipelines.values())):
            with slots.lock:
                slots.retired = Totals()
                for slot in slots.slots:
                    slot.zero()
        for queue in self.queues():
            queue.zero()

    def after_fork(self) -> None:
        """Start from zero in a forked child."""
        self.lock = threading.RLock()
        self.started = clock()
        self.computed = process_time()
        for record in self.pipelines.values():
            record.journeys.after_fork()
            for stage in record.stages.values():
                stage.after_fork()
            for queue in record.queues.values():
                queue.after_fork()
                queue.inherited = True
            for pool in record.pools.values():
                pool.after_fork()
                pool.backlog.inherited = True


REGISTRY: Final = Registry()
#: Held by who imports a module of ours late: in a child that is forked meanwhile the
#: module would stay locked for ever.
LATE: Final = threading.RLock()


def _after_fork() -> None:
    _workers.after_fork()
    REGISTRY.after_fork()
    LATE.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=LATE.acquire,
        after_in_parent=LATE.release,
        after_in_child=_after_fork,
    )
