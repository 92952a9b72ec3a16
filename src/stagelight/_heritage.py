"""What a thread goes on with: the context and the event of the one that starts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import context as otel_context

from stagelight._journey import TASK_TURN, Turn, enclosing, in_loop, set_turn
from stagelight._onward import carry
from stagelight._quiet import Quiet
from stagelight._slots import NO_SLOT, Slot
from stagelight._workers import this_worker

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context

    from stagelight._slots import Worker


class Heritage(NamedTuple):
    """What one thread leaves to another.

    Attributes:
        context: The context that was current, None where there is nothing in it.
        turn: The event that was worked on, as a turn for the new thread.
    """

    context: Context | None
    turn: Turn | None


def bequeath(thread: object) -> Heritage | None:
    """What a thread that is started here goes on with, None if that is nothing.

    Args:
        thread: The thread.
    """
    worker = this_worker()
    turn = None
    mine = _event(worker)
    if mine is not None:
        around = getattr(enclosing(worker), "turn", None) or mine
        known = mine.forwarded, around.forwarded
        journey = carry(worker, thread, "")
        # The event's end is its starter's to tell: not every thread has to do with it.
        mine.forwarded, around.forwarded = known
        if journey.forwards:
            turn = Turn(0, journey, mine.pipeline, "")
            turn.forwarded = True
    context = otel_context.get_current()
    # The context of a promised span is its call's own, and used again for the next.
    if isinstance(context, Quiet) or not context:
        return None if turn is None else Heritage(None, turn)
    return Heritage(context, turn)


def _event(worker: Worker) -> Turn | None:
    """The turn of the event that a thread works on; a source's last one is gone."""
    here = enclosing(worker)
    turn = TASK_TURN.get() if in_loop() else worker.turn
    if isinstance(here, Slot) and here.turn is not None and turn is not None:
        turn = turn if turn.within is here else here.turn
    if turn is None and worker.pending:
        turn = worker.pending[-1]
    if here is None:
        return turn if turn is not None and turn.queue is not None else None
    if turn is None and worker.slot is not NO_SLOT:
        return Turn(0, 0, worker.slot.stage.pipeline, None)
    return turn


def inherit(heritage: Heritage, *, attached: bool) -> Token[Context] | None:
    """Go on with it, in the new thread.

    Args:
        heritage: What ``bequeath`` gave.
        attached: Whether somebody else makes the context current.

    Returns:
        What ``otel_context.detach`` takes, if the context was made current here.
    """
    if heritage.turn is not None:
        set_turn(this_worker(), heritage.turn)
    if heritage.context is None or attached:
        return None
    return otel_context.attach(heritage.context)
