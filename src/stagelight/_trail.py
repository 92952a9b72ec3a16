"""Light calls: outside of the head sample a call's span is only a promise.

The wrapper makes a context current whose span nobody has asked for yet. Who does ask, a
log handler, a child instrumentation, ``get_current_span()``, makes it reveal itself: it
gets ids and keeps what is set on it. Where nobody asks, nothing of it was ever made.

What a thread did lightly is its trail: one tuple a stage, from which a turn is made
once something needs one, and a trace once a stage fails.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation import _SPAN_KEY

from stagelight import _guard, _names
from stagelight._cells import NANOSECONDS
from stagelight._deferred import Deferred, remember, stage_attributes
from stagelight._journey import FAN_OUT, Journey, Turn, leave_turn, open_journey
from stagelight._tracer import TRACER

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._slots import Slot, Trail, Worker

_VARIABLE: Final = getattr(otel_context._RUNTIME_CONTEXT, "_current_context", None)  # noqa: SLF001
#: Whether OpenTelemetry keeps its context where we can set one without a call of its.
POSSIBLE: Final = isinstance(_VARIABLE, ContextVar)
CURRENT: Final[ContextVar[Context]] = (
    _VARIABLE if isinstance(_VARIABLE, ContextVar) else ContextVar("stagelight_none")
)
#: What refers to a quiet context that nobody captured: its worker, the wrapper, and
#: the argument of ``getrefcount``.
UNSHARED: Final = 3


#: Where a light call runs: nothing is current there.
_NOWHERE: Final = Context()


def _always(_: object) -> int:
    return UNSHARED + 1


_gil: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
#: Without the interpreter lock a count of references tells nothing.
references: Final[Callable[[object], int]] = sys.getrefcount if _gil() else _always


class Quiet(Context):
    """The context of one light call, which reveals its span when it is looked at.

    Attributes:
        slot: Slot of the stage that runs in it.
        span: Its span, once it was revealed.
    """

    __slots__ = ("slot", "span")

    def __init__(self) -> None:
        super().__init__()
        self.slot: Slot | None = None
        self.span: Deferred | None = None

    def reveal(self) -> Deferred | None:
        """The span of the call that runs in it."""
        if self.span is None and self.slot is not None:
            try:
                slot = self.slot
                self.span = promise(slot, slot.worker, slot.since)
                dict.__setitem__(self, _SPAN_KEY, self.span)
            except Exception as error:  # noqa: BLE001 - never into the pipeline
                _guard.caught("reveal", error)
        return self.span


def _revealing(name: str) -> Any:
    inner = getattr(dict, name)

    def method(self: Quiet, *arguments: Any) -> Any:
        self.reveal()
        return inner(self, *arguments)

    method.__name__ = name
    return method


for _name in (
    "__contains__",
    "__eq__",
    "__getitem__",
    "__iter__",
    "__len__",
    "__ne__",
    "__or__",
    "__reduce_ex__",
    "__repr__",
    "__ror__",
    "copy",
    "get",
    "items",
    "keys",
    "values",
):
    setattr(Quiet, _name, _revealing(_name))


def promise(slot: Slot, worker: Worker, began: int) -> Deferred:
    """The deferred span of a light call, under its journey's creation context.

    Args:
        slot: Slot of its stage.
        worker: Its thread.
        began: Clock at its start.
    """
    stage = slot.stage
    turn = slot.turn
    journey = light_journey(worker, began) if turn is None else turn.journey
    if journey.context is None:
        open_journey(journey, stage.pipeline.name)
    above = trace.get_current_span(journey.context).get_span_context()
    attributes = stage_attributes(stage)
    if turn is not None:
        attributes[_names.QUEUE] = turn.queue
        attributes[_names.QUEUE_WAIT] = turn.wait / NANOSECONDS
    return Deferred(
        stage.span_name,
        above.trace_id,
        began=began,
        parent=above,
        journey=journey,
        attributes=attributes,
    )


def light_journey(worker: Worker, began: int) -> Journey:
    """The journey of a light call.

    Args:
        worker: Its thread.
        began: Clock at its start.
    """
    journey = worker.journey
    if journey is None:
        done = steps(worker.trail)
        journey = Journey(done[0][4] if done else began, None, _NOWHERE)
        worker.journey = journey
        journey.quiet = True
    return journey


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


def claim(slot: Slot, worker: Worker, event: object, now: int) -> Turn | None:
    """The fetched event that a light call is about, or None for the full path.

    Args:
        slot: Slot of the stage, outermost in its thread, which runs no event loop.
        worker: Its thread.
        event: The argument of the call.
        now: The clock.
    """
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
        if not journey.quiet:
            if journey.context is not None or TRACER.due <= now:
                return None
            journey.quiet = True
    if pending:
        pending.clear()
        leave_turn(worker)
        worker.turn = turn
    turn.calls += 1
    if turn.queue not in slot.stage.inputs:
        slot.stage.inputs.add(turn.queue)
    if turn.idle or worker.idle:
        slot.idle += turn.idle + worker.idle
        turn.idle = worker.idle = 0
    return turn


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
        journey = Journey(done[0][4], None, _NOWHERE)
        journey.quiet = True
    worker.trail = worker.journey = None
    # Steps that were handed over with an event are there already.
    for _, slot, _, span, began, ended in done[-1:] if journey.held else done:
        remember(journey, slot.stage, began, ended, span)
    last = done[-1]
    turn = Turn(last[2], journey, last[1].stage.pipeline, None)
    turn.calls = len(done)
    turn.seen = tuple(step[1].stage for step in done)
    turn.ended = last[5]
    turn.slot = last[1]
    worker.turn = turn


def steps(trail: Trail | None) -> list[Trail]:
    """What a trail leads over, the oldest first."""
    found: list[Trail] = []
    while trail is not None:
        found.append(trail)
        trail = trail[0]
    return found[::-1]
