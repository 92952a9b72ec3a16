"""What a thread did lightly: one tuple for each stage call.

A turn is made of them once something needs one, and a trace once a stage fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagelight import _guard
from stagelight._current import CURRENT, POSSIBLE
from stagelight._deferred import remember
from stagelight._journey import (
    FAN_OUT,
    TASK_TURN,
    Journey,
    Turn,
    end_turn,
    forget,
    in_loop,
    leave_turn,
)
from stagelight._quiet import NOWHERE, Quiet, steps
from stagelight._tracer import TRACER

if TYPE_CHECKING:
    from stagelight._records import StageRecord
    from stagelight._slots import Slot, Trail, Worker


def goes_on(trail: Trail, slot: Slot, event: object) -> bool:
    """Whether a call works on what the last stage of a trail returned.

    An event that is gone may have lent its identity to another one, which then comes
    to a stage where the first one was.

    Args:
        trail: What this thread did last.
        slot: Slot of the stage that is called.
        event: Its event.
    """
    if event is None:
        return False
    number = 0
    step: Trail | None = trail
    while step is not None:
        number += 1
        if step[1] is slot or number >= FAN_OUT:
            return False
        step = step[0]
    return True


def claim(  # noqa: C901 - calls cost more
    slot: Slot, worker: Worker, event: object, now: int
) -> Turn | None:
    """The fetched event that a light call is about, or None for the full path.

    Args:
        slot: Slot of the stage, outermost in its thread, which runs no event loop.
        worker: Its thread.
        event: The argument of the call.
        now: The clock.
    """
    try:
        pending = worker.pending
        turn = pending[0] if pending else worker.turn
        if (
            turn is None
            or turn.within is not None
            or not turn.queue
            or turn.calls >= FAN_OUT
            or (pending and (len(pending) > 1 or turn.key != id(event)))
        ):
            return None
        if TRACER.on:
            if worker.quiet is None or CURRENT.get():
                return None
            journey = turn.journey
            if journey.ambient:
                return None
            if not journey.quiet:
                if journey.context is not None or TRACER.due <= now:
                    return None
                journey.quiet = True
        if pending:
            pending.clear()
            if worker.turn is not None:
                leave_turn(worker)
            worker.turn = turn
        turn.calls += 1
        if turn.queue not in slot.stage.inputs:
            slot.stage.inputs.add(turn.queue)
        if turn.idle or worker.idle:
            slot.idle += turn.idle + worker.idle
            turn.idle = worker.idle = 0
        return turn  # noqa: TRY300 - as the others
    except Exception as error:  # noqa: BLE001 - a finalizer may take it just now
        _guard.caught("claim", error)
        return None


def claim_in_task(  # noqa: C901, PLR0911, PLR0912 - calls cost more
    slot: Slot, worker: Worker, event: object, now: int
) -> Turn | None:
    """The turn of an outermost coroutine call in a task, or None for the full path.

    Args:
        slot: Slot of its stage.
        worker: Its thread, in which an event loop runs.
        event: The argument of the call.
        now: The clock.
    """
    try:
        if worker.pending or worker.trail is not None or not in_loop():
            return None
        if TRACER.on:
            if not POSSIBLE or TRACER.sdk_decides or CURRENT.get():
                return None
            if worker.quiet is None:
                worker.quiet = Quiet()
        fetched = worker.recent.get(id(event)) if worker.recent else None
        turn = fetched or TASK_TURN.get()
        if turn is not None and turn.within is not None:
            return None
        ended = None
        if turn is not None and fetched is None and _is_over(turn, slot, event):
            ended, turn = turn, None
        if turn is None:
            if not TRACER.on or TRACER.due <= now:
                return None
            if ended is not None:
                forget(worker, ended)
                end_turn(ended)
            journey = Journey(now)
            journey.quiet = True
            turn = Turn(0, journey, slot.stage.pipeline, None)
            TASK_TURN.set(turn)
        else:
            if TRACER.on:
                journey = turn.journey
                if journey.ambient:
                    return None
                if not journey.quiet:
                    if journey.context is not None or TRACER.due <= now:
                        return None
                    journey.quiet = True
            forget(worker, turn)
            if fetched is not None:
                TASK_TURN.set(turn)
        if turn.queue is None:
            turn.seen = (*turn.seen, slot.stage)
        elif turn.queue not in slot.stage.inputs:
            slot.stage.inputs.add(turn.queue)
        turn.calls += 1
        if turn.idle or worker.idle:
            slot.idle += turn.idle + worker.idle
            turn.idle = worker.idle = 0
        return turn  # noqa: TRY300 - as the others
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("claim", error)
        return None


def task_journey(began: int, done: list[tuple[StageRecord, int, int]]) -> Journey:
    """The journey of an event that began in a task, outside of the head sample.

    Args:
        began: Clock at its begin.
        done: Its finished stages, and the clock at the start and end of each.
    """
    journey = Journey(began)
    journey.quiet = True
    for stage, start, end in done:
        remember(journey, stage, start, end)
    return journey


def _is_over(turn: Turn, slot: Slot, event: object) -> bool:
    """Whether a task's turn is not what its next outermost call is about."""
    another = turn.queue is None and (turn.key != id(event) or slot.stage in turn.seen)
    return another or turn.calls >= FAN_OUT


def stale(worker: Worker, event: object) -> bool:
    """Whether a thread's turn is that of a source whose event was another one.

    Args:
        worker: The thread; its turn is closed then.
        event: The event of the call.
    """
    turn = worker.turn
    if turn is not None and (turn.queue is not None or turn.key == id(event)):
        return False
    worker.turn = None
    return True


def settle(worker: Worker) -> None:
    """Make a turn of what a thread did lightly, for whoever needs one."""
    trail = worker.trail
    if trail is None:
        return
    done = steps(trail)
    journey = worker.journey
    if journey is None:
        journey = Journey(done[0][4], None, NOWHERE)
        journey.quiet = True
    worker.trail = worker.journey = None
    # Steps that were handed over with an event are there already.
    for _, slot, _, span, began, ended in done[journey.held :]:
        remember(journey, slot.stage, began, ended, span)
    last = done[-1]
    turn = Turn(last[2], journey, last[1].stage.pipeline, None)
    turn.calls = len(done)
    turn.seen = tuple(step[1].stage for step in done)
    turn.ended = last[5]
    turn.slot = last[1]
    worker.turn = turn
