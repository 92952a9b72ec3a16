"""Generator calls: one sample for each item, one outcome when the generator ends.

The compiled wrappers drive the user's generator; what they record is here. Nothing in
``Items`` raises.
"""

from __future__ import annotations

from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from stagelight import _guard, _names, _outcomes, _sinks
from stagelight._current import CURRENT, POSSIBLE
from stagelight._frames import finish
from stagelight._journey import Journey, Turn, calm, open_journey, set_turn
from stagelight._light import light_finish
from stagelight._quiet import (
    UNSHARED,
    Quiet,
    light_journey,
    references,
)
from stagelight._runs import Run, begin_run
from stagelight._slots import PENDING, TRACING
from stagelight._spans import begin_span
from stagelight._traced import Promised, Traced
from stagelight._tracer import TRACER
from stagelight._trail import stale

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry import trace
    from opentelemetry.context import Context

    from stagelight._records import StageRecord
    from stagelight._slots import Slot, Worker


class Items:
    """A generator's call: one sample for each item, one outcome when it ends.

    Where the generator is the source, each item begins a journey of its own. Else the
    run has one span, which is never current while the generator is suspended.
    """

    __slots__ = ("_light", "_root", "_start", "_token", "_traced", "run", "source")

    def __init__(self, run: Run | None) -> None:
        self.run = run
        self.source = run is not None and run.is_source
        self._traced: Traced | None = None
        self._root: trace.Span | None = None
        self._start = 0
        self._light: Slot | None = None
        self._token: Token[Context] | None = None
        if run is not None and self.source and TRACER.on and POSSIBLE:
            worker = run.worker
            worker.quiet = Quiet() if worker.quiet is None else worker.quiet

    def step(self) -> None:
        """Begin to make the next item."""
        run = self.run
        if run is None:
            return
        try:
            self._start = clock()
            if (self.source or run.traced is None) and self._step_lightly(run):
                return
            run.blocked = 0
            run.dropped = None
            if self.source and TRACER.on:
                journey = Journey(self._start)
                run.turn = Turn(0, journey, run.stage.pipeline, None)
                if TRACER.due <= self._start:  # else it is outside of the sample
                    self._root = open_journey(
                        journey, run.stage.pipeline.name, end=False
                    )
                run.traced = self._traced = begin_span(
                    run.slot, run.turn, [], nested=False
                )
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("generator", error)
        self.resume()

    def _step_lightly(self, run: Run) -> bool:
        """Begin a step in a thread where nothing is open or was fetched."""
        slot = run.stage.slot()
        worker = slot.worker
        if worker.slot.since:
            return False
        if worker.alert:
            if not (self.source and _unsampled(worker, self._start)):
                return False
            # The item begins a journey of its own.
            worker.trail = worker.journey = slot.turn = None
            quiet = worker.quiet
            if quiet is None:
                quiet = worker.quiet = Quiet()
            quiet.slot = slot
            run.traced = self._traced = None
            self._token = CURRENT.set(quiet)
        self._light = worker.slot = slot
        slot.since = self._start
        return True

    def _end_lightly(self, run: Run, slot: Slot, item: Any) -> None:
        """End such a step with an item."""
        self._light = None
        worker, start = slot.worker, self._start
        end = clock()
        slot.produced += 1
        token, self._token = self._token, None
        quiet = None
        if token is not None:
            CURRENT.reset(token)
            quiet = worker.quiet
            if quiet is not None and (
                references(quiet) != UNSHARED
                or quiet.span is not None
                or end - start > slot.slow
            ):
                worker.special = True
        if worker.special:
            for turn in worker.pending:
                if turn.within is slot:
                    turn.within = run  # the next stage may take what was fetched
            if token is None:
                finish(slot, worker, None, start, end, run.event, item)
            else:
                began = slot.turn
                light_finish(slot, worker, None, quiet, start, end, run.event, item)
                if began is not None:
                    set_turn(worker, began)
            return
        slot.since = 0
        if end >= slot.roll:
            slot.turn_over(end)
        slot.add(end - start)
        if token is not None:
            worker.trail = (None, slot, id(item), None, start, end)

    @property
    def began(self) -> int:
        """Clock at the start of the step."""
        return self._start

    def resume(self) -> None:
        """Go into the generator."""
        run = self.run
        if run is not None:
            run.enter_context()
            run.resume()

    def pause(self) -> None:
        """Leave the generator, whatever comes next."""
        run = self.run
        if run is not None:
            run.suspend()
            run.leave_context()

    def item(self, item: Any) -> None:
        """Record one item."""
        run = self.run
        if run is None:
            return
        if self._light is not None:
            try:
                self._end_lightly(run, self._light, item)
            except Exception as error:  # noqa: BLE001 - never into the pipeline
                _guard.caught("generator", error)
            return
        self.pause()
        try:
            if self._root is not None:
                self._root.end()
                self._root = None
            run.slot.produced += 1
            run.sample(clock() - self._start, traced=self._traced)
            if _sinks.TAPS:
                _sinks.tapped(run.stage, run.event, item, None)
            if self.source and run.turn is not None:
                run.turn.key = id(item)
                set_turn(run.worker, run.turn)
        except Exception as error:  # noqa: BLE001 - never into the pipeline
            _guard.caught("generator", error)

    def end(self, error: BaseException | None) -> None:
        """Leave the generator for good, and record how it ended."""
        self.leave()
        self.finish(error)

    def leave(self) -> None:
        """Leave a step in which no item was made, or not yet."""
        slot, self._light = self._light, None
        if slot is not None:
            self._leave_lightly(slot)
        else:
            self.pause()

    def made(self) -> None:
        """Leave a step in which an item was made, to be recorded next."""
        if self._light is None:
            self.pause()

    def _leave_lightly(self, slot: Slot) -> None:
        """Leave a light step, which goes on as any other one if at all."""
        run, worker = self.run, slot.worker
        if run is not None:
            run.slot, run.worker = slot, worker
            run.blocked, run.dropped = worker.pause, worker.dropped
        slot.apart -= clock() - self._start - worker.away
        slot.since = worker.away = worker.pause = worker.attempts = 0
        worker.special = False
        worker.dropped = None
        token, self._token = self._token, None
        quiet = worker.quiet
        if token is None or quiet is None or run is None:
            return
        # What the step promised is its own from here on, a failure's span perhaps.
        worker.quiet = Quiet()
        quiet.began = self._start
        turn, slot.turn = slot.turn, None
        if turn is None:
            journey = light_journey(worker, self._start)
            turn = Turn(0, journey, run.stage.pipeline, None)
            worker.journey = None
        quiet.turn = run.turn = turn
        run.traced = self._traced = Promised.made(quiet, token)
        run.leave_context()

    def finish(self, error: BaseException | None) -> None:
        """Record the end of the whole run, and the raise that ended it."""
        run = self.run
        if run is None:
            return
        try:
            self._finish(run, error)
        except Exception as problem:  # noqa: BLE001 - never into the pipeline
            _guard.caught("generator", problem)

    def _finish(self, run: Run, error: BaseException | None) -> None:
        outcome = _names.SUCCESS
        whole = None if self.source else run.traced
        if error is not None:
            outcome, _ = _outcomes.classify(run.stage, error)
            if outcome != _names.CANCELLED:
                if self._root is not None:
                    self._root.end()
                run.failed(error, clock() - self._start, self._traced or whole)
                whole = None
        run.slot.ends[outcome] = run.slot.ends.get(outcome, 0) + 1
        if isinstance(whole, Promised) and whole.keep(0, outcome):
            return
        if whole is not None and whole.span.is_recording():
            whole.span.set_attribute(_names.OUTCOME, outcome)
            whole.span.end()


def _unsampled(worker: Worker, now: int) -> bool:
    """Whether an item that is made now is outside of the head sample, and on its own.

    Args:
        worker: The thread, outermost in which it is made.
        now: The clock.
    """
    if worker.alert & PENDING:
        calm(worker)  # a sampled item is a turn until another one takes its place
    return (
        worker.alert == TRACING
        and POSSIBLE
        and TRACER.running() is None
        and TRACER.due > now
        and (worker.turn is None or stale(worker, None))
        and not CURRENT.get()
    )


def begin_items(stage: StageRecord, event: Any) -> Items:
    """Begin a generator's call.

    Args:
        stage: Where it is recorded.
        event: Its argument.
    """
    return Items(begin_run(stage, event, items=True))
