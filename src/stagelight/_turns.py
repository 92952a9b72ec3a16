"""How a turn begins and ends: events fetched, taken by a call, and left."""

from __future__ import annotations

from time import perf_counter_ns as clock
from typing import Any, Final

from opentelemetry import trace

from stagelight._current import CURRENT, POSSIBLE
from stagelight._journey import (
    FAN_OUT,
    TASK_TURN,
    Journey,
    Turn,
    calm,
    current_turn,
    enclosing,
    end_turn,
    forget,
    in_loop,
    leave_turn,
    set_turn,
)
from stagelight._producers import note_call
from stagelight._slots import PENDING, Slot, Worker
from stagelight._tracer import TRACER
from stagelight._trail import settle

#: Fetched events that a worker remembers until a stage takes them, and how many of
#: them are kept where there are more (span link limit).
MAX_PENDING: Final = 256
KEPT_PENDING: Final = 128


def fetched(worker: Worker, turn: Turn) -> None:
    """Note that this thread fetched an event, for the next observed call to take.

    On an event loop's thread it is the running task's alone.
    """
    if in_loop():
        fetched_by_task(worker, turn)
        return
    if worker.slot.since or worker.run is not None:
        turn.within = enclosing(worker)
    elif worker.trail is not None:
        worker.trail = worker.journey = None
    if worker.turn is not None:
        leave_turn(worker)
    if TRACER.on and CURRENT.get():
        turn.ambient = trace.get_current_span().get_span_context().span_id
    worker.pending.append(turn)
    if len(worker.pending) > MAX_PENDING:
        del worker.pending[:-KEPT_PENDING]
    worker.alert |= PENDING
    if worker.slot.since:
        worker.special = True


def fetched_by_task(worker: Worker, turn: Turn) -> None:
    """Note that the running asyncio task fetched an event."""
    previous = TASK_TURN.get()
    if previous is not None:
        forget(worker, previous)
        end_turn(previous)
    come(worker, turn)


def come(worker: Worker, turn: Turn) -> None:
    """Let an event that was fetched be what the running asyncio task works on."""
    TASK_TURN.set(_arrived(turn, enclosing(worker)))
    worker.alert |= PENDING
    # A getter may run in a task of its own, as in wait_for before Python 3.12.
    worker.recent[turn.key] = turn
    if len(worker.recent) > KEPT_PENDING:
        del worker.recent[next(iter(worker.recent))]


def _arrived(turn: Turn, here: object) -> Turn:
    """Note inside which call and span an event came."""
    turn.within = here
    if TRACER.on and (not POSSIBLE or CURRENT.get()):
        turn.ambient = trace.get_current_span().get_span_context().span_id
    return turn


def take(
    slot: Slot, worker: Worker, event: Any, given: Turn | None = None
) -> tuple[Turn | None, list[Turn], bool]:
    """Which fetched event this call is about; several make links.

    Exactly the fetched one where the argument is that object. Otherwise the only one
    that is pending, or, in a batch, all of them. Without any, a nested call belongs to
    the call around it, and any other is a source. Where it is known, it is given.

    Returns:
        The turn, further turns to link, and whether the call has a turn of its own.
    """
    here = enclosing(worker)
    if worker.trail is not None and here is None:
        settle(worker)
    if given is None:
        turn, links = _claim(worker, slot, here, event)
    else:
        turn, links = _arrived(given, here), []
    if worker.search is not None:
        note_call(worker, slot, source=turn is None and here is None)
    fresh = turn is not None or here is None
    if turn is not None:
        turn.calls += 1
        if turn.queue and turn.queue not in slot.stage.inputs:
            slot.stage.inputs.add(turn.queue)
        slot.idle += turn.idle + worker.idle
        turn.idle = worker.idle = 0
    elif here is not None:
        turn = getattr(here, "turn", None)
    else:
        slot.idle += worker.idle
        worker.idle = 0
        if TRACER.on:
            turn = Turn(0, Journey(clock()), slot.stage.pipeline, None)
            turn.calls = 1
            if in_loop():
                TASK_TURN.set(turn)
            else:
                worker.turn = turn
    if turn is not None and turn.queue is None and fresh:
        turn.seen = (*turn.seen, slot.stage)
    calm(worker)
    return turn, links, fresh


def _claim(
    worker: Worker, slot: Slot, here: object, event: Any
) -> tuple[Turn | None, list[Turn]]:
    pending = worker.pending
    if pending:
        links: list[Turn] = []
        # The newest first: an older one may be of an event that was passed over,
        # whose identity another object has now.
        known = id(event)
        turn = next((turn for turn in reversed(pending) if turn.key == known), None)
        try:
            if turn is not None:
                pending.remove(turn)
            else:
                turn = pending.pop()
                turn.batch = links = pending[1 - KEPT_PENDING :]
                pending.clear()
        except (IndexError, ValueError):
            turn = None  # a call of a signal handler or finalizer took it just now
        if turn is not None:
            leave_turn(worker)
            worker.turn = turn
            return turn, links
    recent = worker.recent.pop(id(event), None) if worker.recent else None
    if recent is not None:
        set_turn(worker, recent)
        return recent, []
    turn = current_turn(worker, here)
    if turn is not None:
        forget(worker, turn)
        # A source's event that is gone may have lent its identity to the next one,
        # which then comes to a stage where the first one was.
        another = turn.queue is None and (
            turn.key != id(event) or slot.stage in turn.seen
        )
        if another or turn.calls >= FAN_OUT:
            end_turn(turn)
            if worker.turn is turn:
                worker.turn = None
            turn = None
    return turn, []


def leave_call(worker: Worker, call: object, turn: Turn | None) -> None:
    """Close what was fetched inside a call that ends, and go back to its own turn.

    Args:
        worker: This thread.
        call: The open call, as ``enclosing`` gave it.
        turn: The turn that the call belongs to.
    """
    if worker.pending:
        worker.pending = [one for one in worker.pending if one.within is not call]
    inner = worker.turn
    if inner is not None and inner.within is call:
        leave_turn(worker)
    elif inner is None and turn is not None and not in_loop():
        worker.turn = turn
