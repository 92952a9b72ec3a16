"""Hears of failed events, takes what is to be kept of them, and hands it over.

It runs in the thread whose event failed, for the event may be changed as soon as its
exception goes on. It neither waits nor writes.
"""

from __future__ import annotations

import threading
from time import thread_time_ns as spent
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard, _names
from stagelight._cells import NANOSECONDS
from stagelight._failures import _tracebacks, _traces
from stagelight._failures._calls import call_of
from stagelight._failures._draft import Cause, arguments_of, draft
from stagelight._failures._payloads import Packer
from stagelight._failures._process import describer
from stagelight._failures._share import Share
from stagelight._failures._store import Batch
from stagelight._failures._traits import Traits
from stagelight._failures._writer import SIGNAL, Writer

if TYPE_CHECKING:
    from stagelight._capture import Capture
    from stagelight._failures._payloads import Payload
    from stagelight._journey import Turn
    from stagelight._records import StageRecord
    from stagelight._sinks import EventRecord
    from stagelight._slots import Slot

#: Failed events, and their bytes, that may wait for the writer.
_WAITING: Final = 2_000
_WAITING_BYTES: Final = 32 * 1024 * 1024
#: Groups whose names are remembered.
_CAUSES: Final = 4_096
SUCCESS: Final = "success"
FAILED: Final = "failure"

#: Set in a thread that replays: what fails there is known already.
REPLAYING: Final = threading.local()


class Sink:
    """Takes failed events, as the settings say.

    Args:
        capture: The settings.
    """

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self._wanted: dict[str, bool] = {}
        self._early: dict[str, bool] = {}
        self._packer = Packer(capture)
        self._traits = (
            Traits(capture.attributes, self._packer.keys)
            if capture.attributes
            else None
        )
        self._causes: dict[tuple[Any, ...], Cause] = {}
        self._describe = describer()
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew in a child: what waits is the parent's to write."""
        # Reentrant: a finalizer or signal handler may fail while it is held.
        self._lock = threading.RLock()
        self._share = Share()
        self._left_out = Batch()
        self.writer = Writer(
            self.capture,
            self._describe,
            self._more,
            self._share.charge,
            self._packer.finish,
        )

    def __call__(self, record: EventRecord) -> None:
        """Take one failed event; a sink of ``_sinks.EVENTS``.

        Args:
            record: What was announced.
        """
        error, stage = record.exception, record.stage
        if record.name != _names.EXCEPTION_EVENT or error is None or stage is None:
            return
        wanted = self._wanted.get(stage)
        if wanted is None:
            wanted = self._wanted[stage] = self.capture.wants(stage)
        if not wanted or getattr(REPLAYING, "on", False):
            return
        trace = _traces.trace_in(error)
        cause = self._cause(record, trace)
        writer = self.writer
        if writer.waiting >= _WAITING or writer.waiting_bytes >= _WAITING_BYTES:
            self._leave_out("queue", cause, record)
        elif not self._share.afford():
            self._leave_out("rate", cause, record)
        elif self._share.measures():
            began = spent()
            self._take(record, error, cause, trace)
            self._share.charge_taken(spent() - began)
        else:
            self._take(record, error, cause, trace)

    def entered(self, stage: StageRecord, event: Any) -> Payload | None:
        """Take an event as its call begins; one of ``_sinks.ENTRIES``.

        Args:
            stage: Its stage.
            event: The event.
        """
        wanted = self._early.get(stage.name)
        if wanted is None:
            wanted = self._early[stage.name] = self.capture.wants_entry(stage.name)
        return self._packer.pack(stage.name, event) if wanted else None

    def _cause(self, record: EventRecord, trace: _traces.Trace) -> Cause:
        """What a failure has in common with others."""
        # Stages without a record of theirs are told apart by their names.
        source: Any = record.source
        known = id(source) if source is not None else (record.pipeline, record.stage)
        key = (known, record.error_type, id(trace.code), id(trace.entry))
        cause = self._causes.get(key)
        if cause is None:
            cause = Cause(record, trace, self._packer)
            if len(self._causes) >= _CAUSES:
                self._causes.clear()
            self._causes[key] = cause
        return cause

    def _take(
        self,
        record: EventRecord,
        error: BaseException,
        cause: Cause,
        trace: _traces.Trace,
    ) -> None:
        stage = record.stage or ""
        payload = record.entry or self._packer.pack(stage, record.event)
        keys = self._packer.keys if self.capture.locals else None
        chain = _tracebacks.taken(error, keys, trace)
        made = draft(record, payload, chain, cause)
        if not cause.single:
            made.arguments = arguments_of(call_of(record), self._packer)
        if self._traits is not None:
            made.attributes = self._traits_of(stage, record.event, record.turn)
            self._count(FAILED, cause.group, made.attributes)
        self.writer.give(made, made.size)

    def _traits_of(self, stage: str, event: Any, turn: Turn | None) -> dict[str, str]:
        try:
            return self._traits.of(stage, event, turn) if self._traits else {}
        except Exception:  # noqa: BLE001 - a property or __str__ of the user's
            return {}

    def _count(self, kind: str, scope: str, attributes: dict[str, str]) -> None:
        with self._lock:
            traits = self._left_out.traits
            for name, value in (*attributes.items(), ("", "")):
                key = (kind, scope, name, value)
                traits[key] = traits.get(key, 0) + 1

    def sampled(self, slot: Slot, event: Any, turn: Turn | None) -> None:
        """Take one successful event into the comparison.

        Args:
            slot: Slot of its stage.
            event: The event.
            turn: Where it came from.
        """
        stage = slot.stage
        if not self.capture.wants(stage.name):
            return
        attributes = self._traits_of(stage.name, event, turn)
        self._count(SUCCESS, f"{stage.pipeline.name}\n{stage.name}", attributes)

    def _leave_out(self, reason: str, cause: Cause, record: EventRecord) -> None:
        """Count an event that is not kept."""
        at = record.time_ns / NANOSECONDS
        with self._lock:
            left = self._left_out
            left.dropped[reason] = left.dropped.get(reason, 0) + 1
            left.leave_out(cause.group, cause.identity, 1, at, at)
        _guard.LOST[SIGNAL] = _guard.LOST.get(SIGNAL, 0) + 1
        self.writer.wake()

    def _more(self) -> Batch:
        """What was counted since the writer asked last."""
        with self._lock:
            batch, self._left_out = self._left_out, Batch()
        return batch
