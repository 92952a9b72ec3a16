"""Turns that are begun and ended explicitly, by ``journey()``."""

from __future__ import annotations

from time import perf_counter_ns as clock
from typing import TYPE_CHECKING

from opentelemetry import trace

from stagelight._journey import (
    TASK_TURN,
    Journey,
    TaskTurn,
    Turn,
    enclosing,
    end_turn,
    in_loop,
    set_turn,
)
from stagelight._trail import settle
from stagelight._workers import this_worker

if TYPE_CHECKING:
    from stagelight._registry import PipelineRecord


def begin_turn(
    event: object, pipeline: PipelineRecord
) -> tuple[Turn, tuple[Turn | None, list[Turn]]]:
    """Begin an explicit turn, that of the event's own fetch where there was one.

    Args:
        event: The event.
        pipeline: Where a journey that begins here is recorded.

    Returns:
        The turn, and what ``drop_turn`` restores.
    """
    worker = this_worker()
    settle(worker)
    known = id(event)
    fetched_here = [one for one in reversed(worker.pending) if one.key == known]
    turn = fetched_here[0] if fetched_here else worker.recent.pop(known, None)
    if turn is None:
        turn = TaskTurn(known, Journey(clock()), pipeline, "")
        turn.ambient = trace.get_current_span().get_span_context().span_id
    turn.within = enclosing(worker)
    before = TASK_TURN.get() if in_loop() else worker.turn
    rest = [one for one in worker.pending if one is not turn]
    worker.pending = []
    set_turn(worker, turn)
    return turn, (None if before is turn else before, rest)


def drop_turn(turn: Turn, before: tuple[Turn | None, list[Turn]]) -> None:
    """Close an explicit turn, and go back to what was before."""
    end_turn(turn)
    worker = this_worker()
    outer, worker.pending = before
    if TASK_TURN.get() is turn:
        TASK_TURN.set(outer)
    elif worker.turn is turn:
        worker.turn = outer
