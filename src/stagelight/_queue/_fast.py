"""The hooks of a plain ``queue.Queue``, written out: they run for each event.

They do what ``Flow.put`` and ``Flow.got`` do, which serve every other queue.
"""

from __future__ import annotations

from threading import get_ident
from time import perf_counter_ns as clock
from typing import Any

from stagelight import _guard
from stagelight._distribution import BATCH
from stagelight._journey import Turn
from stagelight._quiet import CURRENT
from stagelight._slots import NO_SLOT, TRACING
from stagelight._tracer import TRACER
from stagelight._turns import fetched, origin
from stagelight._workers import THIS, this_worker


def plain_hooks() -> dict[str, Any]:  # noqa: C901 - calls cost more
    """Hooks for the methods that the standard library calls under the queue's lock."""
    current = CURRENT.get

    def _put(self: Any, item: Any) -> None:
        items = self.queue
        items.append(item)
        flow = self.__stagelight__
        try:
            now = clock()
            try:
                worker = THIS.leash.worker
            except AttributeError:
                worker = this_worker()
            entries, record = flow.entries, flow.record
            if (
                worker.slot is NO_SLOT
                and worker.alert <= TRACING
                and not (TRACER.on and current())
            ):
                entries.append(now)
            else:
                begun = origin(worker, item, record.name, now)
                entries.append(now if begun is now else (now, begun))
            size = len(items)
            if len(entries) > size:
                flow.mirror.resize(size)
            record.enqueued += 1
            record.peak.now = max(record.peak.now, size)
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.noted("put", error)

    def _get(self: Any) -> Any:
        items = self.queue
        item = items.popleft()
        flow = self.__stagelight__
        try:
            now = clock()
            entries, record = flow.entries, flow.record
            entry = entries.popleft() if entries else now
            if flow.drainer and flow.drainer == get_ident():
                return item
            at, begun = entry if isinstance(entry, tuple) else (entry, entry)
            record.dequeued += 1
            record.wait.add(now - at)
            if not record.dequeued % BATCH:
                record.wait.fold()
            turn = Turn(id(item), begun, record.pipeline, record.name)
            turn.wait = now - at
            try:
                worker = THIS.leash.worker
            except AttributeError:
                worker = this_worker()
            fetched(worker, turn)
            if record.full:
                flow.now_at(len(items))
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.noted("get", error)
        return item

    return {"_put": _put, "_get": _get}
