"""The context of a call whose span is only a promise: nobody has asked for it yet.

Who does ask, a log handler, a child instrumentation, ``get_current_span()``, makes it
reveal itself: it gets ids and keeps what is set on it. Where nobody asks, nothing of it
was ever made.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation import _SPAN_KEY

from stagelight import _guard, _names
from stagelight._cells import NANOSECONDS
from stagelight._deferred import Deferred, stage_attributes
from stagelight._journey import Journey, open_journey

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._journey import Turn
    from stagelight._slots import Slot, Trail, Worker

#: What refers to a quiet context that nobody captured: its worker, the wrapper, and
#: the argument of ``getrefcount``.
UNSHARED: Final = 3


#: Where a light call runs: nothing is current there.
NOWHERE: Final = Context()


def _always(_: object) -> int:
    return UNSHARED + 1


_gil: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
#: Without the interpreter lock a count of references tells nothing.
references: Final[Callable[[object], int]] = sys.getrefcount if _gil() else _always


class Quiet(Context):
    """The context of one call, which reveals its span when it is looked at.

    Attributes:
        slot: Slot of the stage that runs in it.
        turn: The turn of the call, None for what the slot tells.
        began: Clock at its start, 0 for what the slot tells.
        span: Its span, once it was revealed.
    """

    __slots__ = ("began", "slot", "span", "turn")

    def __init__(
        self, slot: Slot | None = None, turn: Turn | None = None, began: int = 0
    ) -> None:
        super().__init__()
        self.slot = slot
        self.turn = turn
        self.began = began
        self.span: Deferred | None = None

    def reveal(self) -> Deferred | None:
        """The span of the call that runs in it."""
        slot = self.slot
        if self.span is None and slot is not None:
            try:
                self.span = _promise(
                    slot, self.turn or slot.turn, self.began or slot.since
                )
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


def _promise(slot: Slot, turn: Turn | None, began: int) -> Deferred:
    """The deferred span of a call, under its journey's creation context."""
    stage = slot.stage
    journey = light_journey(slot.worker, began) if turn is None else turn.journey
    if journey.context is None:
        # Nothing was current where the call began, and now this very context is.
        journey.ambient = journey.ambient or NOWHERE
        open_journey(journey, stage.pipeline.name)
    above = trace.get_current_span(journey.context).get_span_context()
    attributes = stage_attributes(stage)
    if turn is not None and turn.queue:
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
        journey = Journey(done[0][4] if done else began, None, NOWHERE)
        worker.journey = journey
        journey.quiet = True
    return journey


def steps(trail: Trail | None) -> list[Trail]:
    """What a trail leads over, the oldest first."""
    found: list[Trail] = []
    while trail is not None:
        found.append(trail)
        trail = trail[0]
    return found[::-1]
