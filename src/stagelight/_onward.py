"""Which journey an event continues that a worker hands on: puts, submits, sends."""

from __future__ import annotations

import contextlib
from time import perf_counter_ns as clock

from opentelemetry import context as otel_context
from opentelemetry import trace

from stagelight._current import CURRENT
from stagelight._deferred import remember
from stagelight._journey import (
    FAN_OUT,
    Journey,
    Turn,
    current_turn,
    enclosing,
    in_loop,
    leave_turn,
    set_turn,
)
from stagelight._quiet import light_journey, steps
from stagelight._slots import NO_SLOT, TRACING, Worker
from stagelight._tracer import TRACER, is_over
from stagelight._trail import settle


def origin(worker: Worker, item: object, to: str, now: int) -> Journey | int:
    """The journey that an event handed on continues, or ``now`` where it begins here.

    Args:
        worker: The thread that puts or submits.
        item: The event; only its identity is looked at.
        to: Name of the queue or pool.
        now: The clock.
    """
    slot, turn = worker.slot, worker.turn
    if (
        turn is not None
        and turn.calls
        and turn.queue
        and turn.within is None
        and not (slot.since or worker.recent or worker.pending)
        and worker.run is None
        and worker.frame is None
        and worker.trail is None
        and (slot is NO_SLOT or to in slot.stage.outputs)
        and TRACER.running() is None
    ):
        # What ``carry`` comes to for a thread that fetched, worked, and hands on.
        begun = turn.origin
        if isinstance(begun, int):
            if not (TRACER.on or TRACER.late):
                turn.forwarded = True
                return begun
            begun = turn.journey
        if begun.forwards < FAN_OUT:
            turn.forwarded = True
            begun.forwards += 1
            return begun
    if (
        slot.since
        or worker.alert > TRACING
        or turn is not None
        or worker.recent
        or in_loop()
        or (TRACER.on and CURRENT.get())
        or (slot is not NO_SLOT and to not in slot.stage.outputs)
    ):
        return carry(worker, item, to)
    trail = worker.trail
    if trail is None or not TRACER.on:
        return now
    journey = worker.journey
    if journey is None:
        journey = light_journey(worker, now)
        handed = steps(trail)
        for _, earlier, _, span, began, ended in handed:
            remember(journey, earlier.stage, began, ended, span)
        journey.held = len(handed)
    elif journey.forwards >= FAN_OUT or (journey.forwards and trail[2] != id(item)):
        return now  # an event of a source was handed on: this is another one
    journey.forwards += 1
    return journey


def carry(worker: Worker, item: object, to: str) -> Journey:
    """The journey that an event handed on by this worker continues.

    Args:
        worker: The thread that puts or submits.
        item: The event; only its identity is looked at.
        to: Name of the queue or pool, an output of the stage that hands it on;
            empty for a thread.
    """
    here = enclosing(worker)
    if worker.trail is not None and here is None:
        settle(worker)
    turn, exact = None, False
    if worker.alert or here is not None or worker.recent:  # else it comes from nowhere
        turn, exact = _handed_on(worker, here, item)
    slot = worker.slot
    if here is None and in_loop():
        slot = turn.slot if turn is not None and turn.slot is not None else NO_SLOT
    if to and slot is not NO_SLOT and to not in slot.stage.outputs:
        slot.stage.outputs.add(to)
    if to and turn is not None and turn.queue and not turn.calls:
        # No stage looked at it: a dispatcher passes it on.
        turn.pipeline.passes.setdefault(to, set()).add(turn.queue)
    if turn is None and here is not None:
        turn = getattr(here, "turn", None)
    if (
        turn is not None
        and not exact
        and here is None
        and turn.queue is None
        and turn.forwarded
        and turn.key != id(item)
    ):
        turn = None  # a source's event was handed on: this is another one
    if turn is not None:
        journey = turn.journey
        if journey.forwards < FAN_OUT:
            turn.forwarded = True
            journey.forwards += 1
            return journey
    return _from_here(worker)


def _from_here(worker: Worker) -> Journey:
    """The journey of an event that a thread hands on without having fetched one."""
    if not TRACER.on:
        return Journey(clock())
    ambient = otel_context.get_current()
    if ambient is worker.quiet:
        journey = light_journey(worker, worker.slot.since)
        worker.special = True
        if journey.forwards < FAN_OUT:
            journey.forwards += 1
            return journey
        return Journey(clock())
    span = trace.get_current_span(ambient)
    if span.get_span_context().is_valid and not is_over(span):
        return Journey(clock(), ambient)
    return Journey(clock(), None, ambient)


def _handed_on(worker: Worker, here: object, item: object) -> tuple[Turn | None, bool]:
    """The turn that an event comes from, and whether it is the fetched one itself."""
    known = id(item)
    recent = worker.recent.pop(known, None) if worker.recent else None
    if recent is not None:
        if here is None:
            set_turn(worker, recent)
        return recent, True
    pending = worker.pending
    # A pool's task may be a loop that fetches, any other call works on its own event.
    loop = here is None or worker.slot.stage.function == "task"
    if pending:
        turn = next((turn for turn in reversed(pending) if turn.key == known), None)
        exact = turn is not None
        if turn is None and loop and worker.turn is None:
            last = pending[-1:]  # a copy: a signal handler may take it
            turn = last[0] if last and last[0].within is here else None
        if turn is not None:
            with contextlib.suppress(ValueError):  # as in _claim
                pending.remove(turn)
            if loop:
                leave_turn(worker)
                set_turn(worker, turn)
            return turn, exact
    return current_turn(worker, here), False
