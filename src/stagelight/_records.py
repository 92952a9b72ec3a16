"""What a stage counted: its slots by thread, and one consistent look at them.

Records are written by the observers and read by every emitter. Reading never resets
anything: what depends on the reader (``Peak``) is kept per reader.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Literal

from stagelight import _names
from stagelight._peak import Peak
from stagelight._slots import Slot, Worker
from stagelight._totals import Totals
from stagelight._workers import ON_SLOT, this_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stagelight._distribution import Distribution
    from stagelight._registry import PipelineRecord

Kind = Literal["call", "coroutine", "generator", "async generator"]


@dataclass(slots=True)
class StageReading:
    """One consistent look at a stage; times in nanoseconds."""

    totals: Totals
    active: int = 0
    oldest: int = 0
    seconds: dict[str, int] = field(default_factory=dict)
    workers: dict[str, int] = field(default_factory=dict)
    #: Events yielded, or returned from calls that succeeded.
    produced: int = 0
    #: All observed time of the workers that run the stage, in whatever stage.
    attended: int = 0
    #: Time since the stage was called first.
    lasting: int = 0


class SlotRecord:
    """Per-thread slots of one stage, and the totals of threads that ended."""

    #: Whether its samples are time that a worker spent; a journey's are not.
    timed = False

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.local = threading.local()
        self.slots: list[Slot] = []
        self.retired = Totals()
        self._ended = False

    def slot(self) -> Slot:
        """This thread's slot, made on its first use."""
        try:
            return self.local.slot  # type: ignore[no-any-return]
        except AttributeError:
            slot = self.local.slot = self._add(this_worker())
            return slot

    def slot_of(self, worker: Worker) -> Slot:
        """A thread's slot, which may be ending: nothing is local to it any more.

        Args:
            worker: This thread.
        """
        try:
            return self.local.slot  # type: ignore[no-any-return]
        except AttributeError:
            mine = [slot for slot in worker.slots if slot.stage is self]
            return mine[0] if mine else self._add(worker)

    def _add(self, worker: Worker) -> Slot:
        slot = Slot(self, worker)  # type: ignore[arg-type]
        worker.slots.append(slot)
        with self.lock:
            self.slots.append(slot)
        return slot

    def fold(self, slot: Slot) -> None:
        """Move an ended thread's slot into the retired totals."""
        with self.lock:
            if slot in self.slots:
                self.slots.remove(slot)
                self.retired.absorb(slot)
                self.retired.settle()
                self._ended = True

    def totals(self, *, history: bool = True) -> Totals:
        """Sum over living and ended threads.

        Args:
            history: Whether the per-second history is wanted, which takes longest.
        """
        with self.lock:
            sum_ = Totals()
            for one in self._parts():
                sum_.absorb(one, history=history)
            sum_.settle()
            return sum_

    def recent(self) -> list[tuple[Sequence[int], Sequence[int]]]:
        """What finished in each of the last seconds, by living and ended threads."""
        with self.lock:
            return [one.recent() for one in self._parts()]

    def finished(self) -> int:
        """How many calls of all threads ended, whatever their outcome."""
        with self.lock:
            return sum([one.finished for one in self._parts()])

    def whole(self) -> Distribution:
        """All samples of all threads, whatever their outcome."""
        return self.totals(history=False).whole()

    def _parts(self) -> list[Totals]:
        return [self.retired, *self.slots] if self._ended else [*self.slots]

    def after_fork(self) -> None:
        """Start from zero in a forked child."""
        self.lock = threading.RLock()
        self.retired = Totals()
        self._ended = False
        mine = self.local.__dict__.get("slot")
        self.slots = [mine] if mine else []
        if mine:
            mine.clear()


class StageRecord(SlotRecord):
    """One stage: its identity, its slots, and its bounded error types."""

    timed = True

    def __init__(
        self, pipeline: PipelineRecord, name: str, kind: Kind, function: str
    ) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.name = name
        self.kind = kind
        self.function = function
        #: Its fully qualified name, where it has one.
        self.code = function
        self.span_name = f"process {name}"
        self.event_id: Callable[[Any], Any] | None = None
        #: The observed stage, held weakly, where the program made it by itself.
        self.twin: Callable[[], Any] | None = None
        self.blocked_peak = Peak()
        #: Queues and pools that it takes from and hands on to, as they were seen.
        self.inputs: set[str] = set()
        self.outputs: set[str] = set()
        #: Whether it is a forked child's copy of the parent's, and may never run.
        self.inherited = False
        #: Stages that were called inside it.
        self.inner: set[str] = set()
        #: Clock when it was called first, else 0.
        self.began = 0
        self._joined = (frozenset[str](),) * 3
        #: Tasks that wait for room: since when, and whether that is inside of it.
        self.held: dict[object, tuple[int, bool]] = {}
        self._error_types: set[str] = set()
        self._floor = dict.fromkeys(_names.WORKER_STATES, 0)

    def slot(self) -> Slot:
        """This thread's slot, made on its first use."""
        try:
            return self.local.slot  # type: ignore[no-any-return]
        except AttributeError:
            slot = super().slot()
            self.began = self.began or clock()
            for tell in ON_SLOT:
                tell()
            return slot

    def joined(self) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        """Inputs, outputs and inner stages; the same objects while nothing changed."""
        inputs, outputs, inner = self._joined
        if inputs != self.inputs or outputs != self.outputs or inner != self.inner:
            inputs, outputs = frozenset(self.inputs), frozenset(self.outputs)
            self._joined = inputs, outputs, frozenset(self.inner)
        return self._joined

    @property
    def dormant(self) -> bool:
        """Whether a forked child has it from its parent, and did not use it yet."""
        return (
            self.inherited
            and not self.retired.finished
            and not any(
                slot.since or slot.opened or slot.finished for slot in self.slots
            )
        )

    def error_type(self, error: BaseException) -> str:
        """The ``error.type`` of an exception, ``_OTHER`` after 32 of them."""
        kind = type(error)
        # By name, not by class: classes made at run time are many, and are not kept.
        name = _names.encodable(kind.__qualname__)
        if kind.__module__ not in {"builtins", None}:
            name = f"{kind.__module__}.{name}"
        if name not in self._error_types:
            with self.lock:
                if len(self._error_types) >= _names.MAX_ERROR_TYPES:
                    return _names.OTHER
                self._error_types.add(name)
        return name

    @property
    def by_tasks(self) -> bool:
        """Whether its workers are tasks of an event loop."""
        return self.kind in {"coroutine", "async generator"}

    def read(self, observed: dict[Worker, int] | None = None) -> StageReading:
        """Totals and live state in one look.

        Args:
            observed: What was computed for other stages of this look, by worker; None
                where nobody asks for ``attended``.
        """
        with self.lock:
            now = clock()
            reading = StageReading(self.totals(history=False))
            reading.lasting = max(now - self.began, 0) if self.began else 0
            totals = reading.totals
            items = self.kind.endswith("generator")
            reading.produced = totals.produced if items else totals.count
            seconds = {
                _names.BUSY: totals.busy,
                _names.IDLE: totals.idle,
                _names.BLOCKED_STATE: totals.blocked,
            }
            workers = dict.fromkeys(_names.WORKER_STATES, 0)
            starts = []
            for slot in self.slots:
                worker, since = slot.worker, slot.since
                if observed is not None:
                    if worker not in observed:
                        observed[worker] = worker.observed()
                    reading.attended += observed[worker]
                begun = slot.opened
                if since and (
                    self.kind in {"call", "generator"}
                    or (self.kind == "coroutine" and worker.run is None)
                ):
                    begun.append(since)
                    reading.active += slot.depth
                if begun:
                    starts += begun
                    reading.active += len(begun)
                if not since and worker.slot is not slot:
                    continue
                state, lasting = _doing(slot, now)
                if state:
                    seconds[state] += lasting
                    reading.attended += lasting
                    workers[state] += 1
            if self.held:
                seconds[_names.BLOCKED_STATE] += sum(
                    [max(now - since, 0) for since, _ in list(self.held.values())]
                )
            reading.attended += totals.attended
            reading.oldest = now - min(starts) if starts else 0
            floor = self._floor
            for state, value in seconds.items():
                # An open interval may be read twice across its end: never go back.
                floor[state] = max(floor[state], value)
            reading.seconds = floor.copy()
            reading.workers = workers
            return reading

    def after_fork(self) -> None:
        """Start from zero in a forked child."""
        super().after_fork()
        self.inherited = True
        self.began = clock() if self.slots else 0
        self.held = {}
        self._floor = dict.fromkeys(_names.WORKER_STATES, 0)
        self.blocked_peak = Peak()


def _doing(slot: Slot, now: int) -> tuple[str, int]:
    """State of a slot's worker, where it is this stage's, and for how long."""
    worker = slot.worker
    current = worker.slot is slot
    if current and worker.blocking:
        return _names.BLOCKED_STATE, max(now - worker.blocking, 0)
    if slot.since:
        own = now - slot.since - worker.away if current else 0
        return _names.BUSY, max(own, 0)
    if current:
        waited = now - worker.waiting if worker.waiting else 0
        return _names.IDLE, max(waited + worker.idle, 0)
    return "", 0
