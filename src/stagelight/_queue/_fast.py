"""The hooks of a plain ``queue.Queue``, written out: they run for each event.

They do what ``Flow.put`` and ``Flow.got`` do, which serve every other queue.
"""

from __future__ import annotations

from sys import modules
from threading import get_ident
from time import perf_counter_ns as clock
from typing import Any, Final

from stagelight import _guard
from stagelight._current import CURRENT
from stagelight._journey import FetchedTurn, end_turn
from stagelight._onward import origin
from stagelight._slots import NO_SLOT, PENDING, TRACING
from stagelight._tracer import EVENTS, TRACER
from stagelight._turns import KEPT_PENDING, MAX_PENDING, fetched
from stagelight._workers import THIS, this_worker

#: Of the waits that are not sorted into cells yet: a queue's may be many.
_BATCH: Final = 511


def plain_hooks() -> dict[str, Any]:
    """Hooks for the methods that the standard library calls under the queue's lock."""
    return {"_put": _put_hook(), "_get": _get_hook()}


def _put_hook() -> Any:
    current, tracer = CURRENT.get, TRACER

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
                and not (tracer.on and current())
            ):
                entries.append(now)
            else:
                begun = origin(worker, item, record.name, now)
                entries.append(now if begun is now else (now, begun))
            size = len(items)
            if len(entries) > size:
                flow.mirror.resize(size)
            record.enqueued += 1
            peak = record.peak
            if size > peak.now:  # noqa: PLR1730 - a call costs more
                peak.now = size
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.noted("put", error)

    return _put


def _get_hook() -> Any:  # noqa: C901 - calls cost more
    current, tracer = CURRENT.get, TRACER

    def _get(self: Any) -> Any:  # noqa: C901, PLR0912 - calls cost more
        item = self.queue.popleft()
        flow = self.__stagelight__
        try:
            now = clock()
            entries, record = flow.entries, flow.record
            begun = entries.popleft() if entries else now
            if flow.drainer and flow.drainer == get_ident():
                return item
            turn = FetchedTurn()
            if begun.__class__ is tuple:
                at, turn.origin = begun
                turn.wait = wait = now - at
            else:
                turn.origin = begun
                turn.wait = wait = now - begun
            turn.key = id(item)
            turn.pipeline = record.pipeline
            turn.queue = record.name
            record.dequeued = number = record.dequeued + 1
            record.wait.add(wait)
            if not number & _BATCH:
                record.wait.fold()
            try:
                worker = THIS.leash.worker
            except AttributeError:
                worker = this_worker()
            if (
                worker.slot.since
                or worker.trail is not None
                or worker.run is not None
                or (EVENTS in modules and tracer.running() is not None)
                or (tracer.on and current())
            ):
                fetched(worker, turn)
            else:
                before = worker.turn
                if before is not None:
                    worker.turn = None
                    if not before.forwarded:
                        end_turn(before)
                if pending := worker.pending:
                    pending.append(turn)
                    if len(pending) > MAX_PENDING:
                        del pending[:-KEPT_PENDING]
                else:
                    pending.append(turn)
                    worker.alert |= PENDING
            if record.full:
                flow.now_at(len(self.queue))
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.noted("get", error)
        return item

    return _get
