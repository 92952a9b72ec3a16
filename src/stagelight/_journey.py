"""Journeys: one event's way through the pipeline, as trace context beside the event.

A journey is created where an event enters, rides in a carrier beside the event, and is
activated only around observed calls. Whether it is recorded is decided once, by a
token bucket, unless ``OTEL_TRACES_SAMPLER`` asks the SDK to decide.
"""

from __future__ import annotations

import os
from time import perf_counter_ns as clock
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import Context

from stagelight import _names
from stagelight._current import TurnVariable
from stagelight._deferred import RECORDERS, Deferred, may_record, within
from stagelight._slots import PENDING, Slot, Worker
from stagelight._tracer import TRACER
from stagelight._workers import ON_RETIRE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stagelight._frames import Frame
    from stagelight._records import StageRecord
    from stagelight._registry import PipelineRecord
    from stagelight._runs import Run

    #: A finished stage: it, clock at its start and end, and its span if it has one.
    Done = tuple[StageRecord, int, int, Deferred | None]

#: Children that one journey may have before further events start their own: a trace
#: of many thousand spans hurts every store.
FAN_OUT: Final = 128
_EMPTY: Final = Context()
_CONSUMER: Final = trace.SpanKind.CONSUMER


class Journey:
    """One event's way: where it began, and its creation context once it has one.

    Attributes:
        began: Clock at its begin.
        context: Its creation context, None until a stage is traced.
        ambient: Context at the place where it began, whose baggage it carries, where
            that is another than the first stage's.
        forwards: How many events were handed on in it.
        quiet: Whether it is outside of the head sample.
        root: Its creation context's deferred span, where it is quiet.
        done: Finished stages, held in case that a later one fails.
        rescued: Whether it is exported although it is quiet.
        held: How many of its light steps were handed over to ``done``.
    """

    # Defaults of the class cost nothing, and most of it never changes.
    context: Context | None = None
    ambient: Context | None = None
    forwards = 0
    quiet = False
    root: Deferred | None = None
    done: list[Done] | None = None
    rescued = False
    held = 0

    def __init__(
        self,
        began: int,
        context: Context | None = None,
        ambient: Context | None = None,
    ) -> None:
        self.began = began
        if context is not None:
            self.context = context
        if ambient is not None:
            self.ambient = ambient


class Turn:
    """What a worker does with one event that it fetched, until it fetches the next.

    Attributes:
        key: ``id()`` of the fetched event, or of the last stage's result.
        origin: The journey the event is on, or only the clock at its begin.
        pipeline: Where the journey's duration is recorded.
        queue: Name of the queue it came from, or None where it started here.
        wait: Nanoseconds that it waited there.
        ambient: Span id that was current at the fetch: possibly a stale one.
        ended: Clock at the end of the last observed call of this turn, else 0.
        outcome: Outcome of that call.
        forwarded: Whether the event, or what became of it, was handed on.
        calls: Observed calls in this turn.
        within: The open call inside which the event was fetched, else None.
        slot: Slot of the stage that ran last in this turn.
        batch: Further turns whose events the same call took.
        seen: Stages that a source's event went through.
    """

    # Most of it never changes for most turns: defaults of the class cost nothing.
    wait = 0
    idle = 0
    ambient = 0
    ended = 0
    outcome: str = _names.SUCCESS
    forwarded = False
    calls = 0
    within: object = None
    slot: Slot | None = None
    batch: Sequence[Turn] = ()
    seen: tuple[StageRecord, ...] = ()

    def __init__(
        self,
        key: int,
        origin: Journey | int,
        pipeline: PipelineRecord,
        queue: str | None,
    ) -> None:
        self.key = key
        self.origin = origin
        self.pipeline = pipeline
        self.queue = queue

    @property
    def journey(self) -> Journey:
        """The journey the event is on, made where nothing needed it before."""
        origin = self.origin
        if isinstance(origin, int):
            origin = self.origin = Journey(origin)
        return origin

    @property
    def began(self) -> int:
        """Clock at the begin of the journey."""
        origin = self.origin
        return origin if isinstance(origin, int) else origin.began


class FetchedTurn(Turn):
    """A turn whose maker sets its attributes: half the price, for each event."""

    __init__ = object.__init__


class TaskTurn(Turn):
    """A turn of an asyncio task, which may end without fetching again."""

    def __del__(self) -> None:
        try:  # noqa: SIM105 - as the interpreter goes down, contextlib may be gone
            end_turn(self)
        except Exception:  # noqa: BLE001, S110 - the same
            pass


#: The turn of an asyncio task; threads keep theirs in ``Worker``.
TASK_TURN: Final = TurnVariable()


def end_turn(turn: Turn, worker: Worker | None = None) -> None:
    """Close a turn: an event that was not handed on has left the pipeline.

    Args:
        turn: The turn.
        worker: The thread whose it was, which may be ending; by default this one.
    """
    if turn.ended and not turn.forwarded and turn.queue is not None:
        turn.forwarded = True
        journeys = turn.pipeline.journeys
        slot = journeys.slot() if worker is None else journeys.slot_of(worker)
        plain = turn.outcome == _names.SUCCESS
        part = slot if plain else slot.failure(turn.outcome, "")
        part.record(turn.ended - turn.began)
        for one in turn.batch:
            part.record(turn.ended - one.began)


def in_loop() -> bool:
    """Whether an asyncio event loop runs in this thread, asked without importing it."""
    running = TRACER.running()
    if isinstance(running, ModuleType):  # asyncio is there, and was not asked yet
        return TRACER.in_loop()
    return running is not None


def enclosing(worker: Worker) -> Frame | Run | Slot | None:
    """The innermost open call of this thread, or None outside of any."""
    if worker.frame is not None:
        return worker.frame
    if worker.run is not None:
        return worker.run
    return worker.slot if worker.slot.since else None


def current_turn(worker: Worker, here: object) -> Turn | None:
    """The turn of the running asyncio task, else of this thread.

    Args:
        worker: This thread.
        here: The open call; only a turn that began inside it, and not further out,
            is its own.
    """
    turn = TASK_TURN.get() if in_loop() else worker.turn
    return turn if turn is not None and turn.within is here else None


def set_turn(worker: Worker, turn: Turn) -> None:
    """Make a turn that of the running asyncio task, else of this thread."""
    if in_loop():
        TASK_TURN.set(turn)
    else:
        worker.turn = turn
    worker.alert |= PENDING


def leave_turn(worker: Worker) -> None:
    """Close a thread's turn, as it goes to fetch its next event."""
    turn = worker.turn
    if turn is not None:
        worker.turn = None
        end_turn(turn)


def _retire(worker: Worker) -> None:
    """Close the turn of a thread that ends: nothing is local to it any more."""
    turn, worker.turn = worker.turn, None
    if turn is not None:
        end_turn(turn, worker)


def calm(worker: Worker) -> None:
    """Let a thread with nothing fetched take the short path again."""
    turn = worker.turn
    if (
        worker.alert & PENDING
        and (turn is None or (turn.queue is None and TRACER.on))
        and not (worker.pending or in_loop())
    ):
        worker.alert &= ~PENDING


def leave_task_turn(worker: Worker) -> None:
    """Close the running task's turn, as it goes to fetch its next event."""
    turn = TASK_TURN.get()
    if turn is not None and turn.within is enclosing(worker):
        forget(worker, turn)
        end_turn(turn)


def forget(worker: Worker, turn: Turn) -> None:
    """Another object may get the identity of a fetched event that is gone."""
    if worker.recent and worker.recent.get(turn.key) is turn:
        del worker.recent[turn.key]


ON_RETIRE.append(_retire)


def open_journey(
    journey: Journey,
    pipeline: str,
    *,
    end: bool = True,
    links: Sequence[trace.Link] = (),
    sampled: bool | None = None,
) -> trace.Span:
    """Give a journey its creation context: the short root span ``ingest``.

    Args:
        journey: A journey that has none yet.
        pipeline: Name of the pipeline it enters.
        end: Whether to end the root span now; else the caller may, or drop it.
        links: Of the root span.
        sampled: Whether it is in the head sample, by default as the budget says.
    """
    name, attributes = f"ingest {pipeline}", {_names.PIPELINE: pipeline}
    said: dict[str, Any] = {
        "kind": _CONSUMER,
        "attributes": attributes,
        "links": links,
    }
    context = None
    span: trace.Span | None = None
    if sampled is None:
        sampled = not journey.quiet and TRACER.samples(clock())
    if sampled and not TRACER.sdk_decides and may_record():
        if end and not links:
            ids = RECORDERS[0].root(name, _CONSUMER, attributes)
            span = trace.NonRecordingSpan(ids)
            journey.context = within(span, journey.ambient)
            return span
        span = Deferred(name, 0, began=clock(), sampled=True, **said)
        if end:
            span.end()
    elif sampled:
        span = TRACER.tracer.start_span(name, context=_EMPTY, **said)
        if end:
            span.end()
        if not span.get_span_context().trace_flags.sampled:
            context, span = span.get_span_context(), None
    if span is None:
        journey.quiet = True
        span = journey.root = Deferred(
            name, 0, began=journey.began, journey=journey, context=context, **said
        )
        journey.root.ended = journey.began
    journey.context = within(
        trace.NonRecordingSpan(span.get_span_context()), journey.ambient
    )
    return span


def _after_fork() -> None:
    TASK_TURN.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
