"""Coroutine and generator calls, which run in steps and may overlap on one thread.

A run is one such call. Between its steps the worker is somebody else's; its busy time
is the sum of its steps. A coroutine is one sample, a generator one sample per item.
"""

from __future__ import annotations

from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from stagelight import _guard, _names, _outcomes, _sinks
from stagelight._announce import announce_drop, announce_failure
from stagelight._detailed import UNMEASURED, begin, count, end
from stagelight._frames import end_call
from stagelight._journey import TASK_TURN
from stagelight._late import begin_late
from stagelight._producers import note_call
from stagelight._slots import DETAILED
from stagelight._spans import RECORD, begin_span, close
from stagelight._toll import COSTS, FULL_SAMPLE
from stagelight._tracer import TRACER
from stagelight._turns import take

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from stagelight._frames import Frame
    from stagelight._journey import Turn
    from stagelight._records import StageRecord
    from stagelight._slots import Slot, Worker
    from stagelight._traced import Traced


class Run:
    """One coroutine or generator call.

    Attributes:
        turn: The fetched event it works on, which puts inside it hand on.
        blocked: Nanoseconds its task waited for room in a queue.
        attempts: Retries noted while it was running.
    """

    __slots__ = (
        "_away",
        "_cpu",
        "_dropped",
        "_frame",
        "_inside",
        "_outer",
        "_outer_run",
        "_pause",
        "_since",
        "_special",
        "_step",
        "attempts",
        "blocked",
        "dropped",
        "entry",
        "event",
        "fresh",
        "is_source",
        "slot",
        "stage",
        "start",
        "traced",
        "turn",
        "worker",
    )

    _frame: Frame | None

    def __init__(
        self,
        stage: StageRecord,
        event: Any,
        *,
        items: bool = False,
        turn: Turn | None = None,
    ) -> None:
        self.stage = stage
        self.event = event
        self.entry = _sinks.entered(stage, event) if _sinks.ENTRIES else None
        self.blocked = 0
        self.attempts = 0
        self.dropped: tuple[str, bool] | None = None
        self.turn: Turn | None
        self.traced: Traced | None = None
        self._step = 0
        slot: Slot = stage.slot()
        worker: Worker = slot.worker
        self.slot, self.worker = slot, worker
        self.start = clock()
        self.turn, links, self.fresh = take(slot, worker, event, turn)
        worker.logged = 0
        queue = self.turn.queue if self.turn is not None else None
        self.is_source = items and self.fresh and queue is None
        if TRACER.on and not self.is_source:
            self.traced = begin_span(slot, self.turn, links, nested=not self.fresh)

    @classmethod
    def begun(cls, slot: Slot, worker: Worker, start: int, event: Any) -> Run:
        """The run of a coroutine whose first step was taken on the short path.

        Args:
            slot: Slot of its stage.
            worker: Its thread, outermost in which that step ran.
            start: Clock at its start.
            event: Its event.
        """
        run = cls.__new__(cls)
        run.stage, run.event, run.entry = slot.stage, event, None
        run.slot, run.worker, run.start = slot, worker, start
        run.blocked, run.attempts = worker.pause, worker.attempts
        run.dropped, run.turn, run.traced = worker.dropped, None, None
        run.fresh, run.is_source, run._step = True, False, 0  # noqa: SLF001
        for turn in (TASK_TURN.get(), *worker.pending):
            if turn is not None and turn.within is slot:
                turn.within = run
        slot.apart -= clock() - start - worker.away
        slot.since = worker.away = worker.pause = worker.attempts = 0
        worker.special = False
        worker.dropped = None
        return run

    def resume(self) -> None:
        """Begin a step: this thread works on this run now."""
        try:
            slot = self.stage.slot()
            now = clock()
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("resume", error)
            return
        self.slot = slot
        worker = self.worker = slot.worker
        self._outer = worker.slot
        self._inside = worker.slot.since != 0
        self._outer_run = worker.run
        self._frame = worker.frame
        self._away, self._pause = worker.away, worker.pause
        self._dropped = worker.dropped
        self._since = slot.since
        worker.away = worker.pause = 0
        worker.special = False
        worker.dropped = None
        worker.frame = None
        worker.run = self
        worker.slot = slot
        slot.since = self._step = now
        self._cpu = UNMEASURED
        if worker.alert & DETAILED:
            self._cpu = begin(worker, self._outer if self._inside else None)

    def suspend(self) -> None:
        """End a step, where one was begun."""
        if not self._step:
            return
        try:
            took = clock() - self._step
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("suspend", error)
            took = 0
        self._step = 0
        slot, worker = self.slot, self.worker
        away, pause = worker.away, worker.pause
        if self._cpu != UNMEASURED:
            end(slot, worker, self._cpu)
        self.blocked += pause
        if worker.dropped is not None:
            self.dropped = worker.dropped
        # No longer open before it is counted: a reader must not see it twice.
        slot.since = self._since
        slot.apart -= took - away
        nested = self._inside
        worker.away = self._away + took if nested else 0
        worker.pause = self._pause + pause if nested else 0
        worker.special = nested
        worker.dropped = self._dropped
        worker.frame = self._frame
        worker.run = self._outer_run
        if nested:
            worker.slot = self._outer
        self._outer_run = self._frame = None

    def enter_context(self) -> None:
        """Make the run's own context current for one step of a generator."""
        if self.traced is not None:
            self.traced.activate()

    def leave_context(self) -> None:
        """Keep the run's context for its next step, and restore the caller's."""
        if self.traced is not None and self.traced.token is not None:
            self.traced.context = otel_context.get_current()
            self.traced.deactivate()

    def sample(
        self,
        took: int,
        outcome: str = _names.SUCCESS,
        error_type: str = "",
        error: BaseException | None = None,
        *,
        traced: Traced | None = None,
    ) -> None:
        """Record one finished call or item of the given wall time."""
        slot = self.slot
        end = clock()
        if end >= slot.roll:
            slot.turn_over(end)
        if self.is_source and self.worker.search is not None:
            note_call(self.worker, slot)
        if self.worker.alert & DETAILED:
            count(slot, None if self.is_source else self.event)
        net = max(took - self.blocked, 0)
        slot.apart += net
        if (
            outcome == _names.SUCCESS
            and traced is None
            and self.dropped is None
            and not (_sinks.SUCCESSES or RECORD)
        ):  # what follows comes to this
            if self.turn is not None and self.fresh:
                end_call(self.turn, slot, end, outcome)
            slot.add(net)
            return
        if self.dropped is not None and error is None:
            outcome = _names.DROPPED
            slot.drops[self.dropped] = slot.drops.get(self.dropped, 0) + 1
            if _sinks.EVENTS:
                context = self._context(traced)
                announce_drop(slot, self.dropped, self.event, self.turn, context)
        plain = outcome == _names.SUCCESS
        if _sinks.SUCCESSES and plain and error is None:
            _sinks.succeeded(slot, self.worker, self.event, self.turn)
        part = slot if plain else slot.failure(outcome, error_type)
        if self.turn is not None and self.fresh:
            end_call(self.turn, slot, end, outcome)
        close(
            slot,
            part,
            traced,
            net,
            self.blocked,
            outcome,
            error_type,
            self.event,
            error,
        )

    def _context(self, traced: Traced | None) -> Context:
        """Whose span a record is about: a generator's is not current any more."""
        own = traced or self.traced
        return otel_context.get_current() if own is None else own.context

    def failed(self, error: BaseException, took: int, traced: Traced | None) -> str:
        """Record a call or item that raised; returns its outcome."""
        outcome, error_type = _outcomes.classify(self.stage, error)
        wanted = outcome in _names.ERRORS
        told = self.worker.logged == id(error)
        if TRACER.late and wanted and not (told or traced or self.traced):
            traced = begin_late(self.slot, self.turn, clock() - took)
        if wanted and _sinks.EVENTS:
            announce_failure(
                self.slot,
                self.worker,
                error,
                self.event,
                outcome,
                error_type,
                took,
                self.turn,
                self.attempts,
                self._context(traced),
                self.entry,
            )
        self.worker.logged = id(error) if self.worker.slot.since else 0
        if _sinks.TAPS:
            _sinks.tapped(self.stage, self.event, None, error)
        self.sample(took, outcome, error_type, error, traced=traced)
        return outcome


def begin_run(
    stage: StageRecord, event: Any, *, items: bool = False, turn: Turn | None = None
) -> Run | None:
    """Begin a run, or record nothing of it where that fails.

    Args:
        stage: Where it is recorded.
        event: Its event.
        items: Whether it is a generator's.
        turn: What it is part of, where that is known.
    """
    try:
        start = clock()
        run = Run(stage, event, items=items, turn=turn)
        toll = run.worker.toll
        if toll is not None:
            toll.runs += 1
            if not toll.runs % FULL_SAMPLE:
                # Its steps and its end cost as much again.
                COSTS.learn("run", 2 * (clock() - start))
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("begin", error)
        return None
    return run
