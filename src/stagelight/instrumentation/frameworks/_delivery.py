"""Where an event of a framework comes from: another thread, process or broker.

What crosses is a ``dict[str, str]`` in the framework's own metadata: the trace context
as the propagators write it, and when it was sent. A worker without stagelight finds
one more entry there, and nothing else.
"""

from __future__ import annotations

from contextvars import ContextVar
from time import perf_counter_ns as clock
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace

from stagelight import _guard
from stagelight._carrier import pack, unpack
from stagelight._journey import (
    TASK_TURN,
    Journey,
    Turn,
    enclosing,
    end_turn,
    forget,
    in_loop,
    leave_turn,
)
from stagelight._turns import come, fetched
from stagelight._workers import this_worker
from stagelight.instrumentation._ledger import LEDGER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stagelight._buffers import QueueRecord
    from stagelight._slots import Worker

#: Key of our entry in a framework's metadata.
KEY: Final = "stagelight"
#: Key of the time at which it was sent.
SENT: Final = "stagelight-sent"
#: What a framework passes on here, from one observed call to the next: its journey,
#: where it waited, and how long.
PASSED: Final[ContextVar[tuple[Journey, str | None, int] | None]] = ContextVar(
    "passed", default=None
)


class Delivery:
    """One event's arrival at this worker, undone when its stage call has ended.

    Args:
        journey: The journey it is on.
        queue: Name of the queue it waited in; "" where a journey of its own begins
            here, None where it is part of one.
        wait: Nanoseconds that it waited.
    """

    __slots__ = ("_looping", "_outer", "_turn", "_worker", "journey", "queue", "wait")

    def __init__(
        self, journey: Journey, queue: str | None = None, wait: int = 0
    ) -> None:
        self.journey = journey
        self.queue = queue
        self.wait = wait
        self._turn: Turn | None = None
        self._worker: Worker | None = None
        self._outer: Any = None

    def arrival(self, event: object) -> Turn:
        """The turn of a call that is told of it, and needs no ``begin`` and ``end``.

        Args:
            event: What the call is about.
        """
        turn = Turn(id(event), self.journey, _home(), self.queue)
        if self.wait:
            turn.wait = self.wait
        return turn

    def enter(self, event: object) -> Turn | None:
        """Do what ``begin`` does for a call that is given the turn, unless it nests.

        Args:
            event: What that call is about.
        """
        try:
            if enclosing(this_worker()) is None:
                self._turn = self.arrival(event)
                return self._turn
        except Exception as error:  # noqa: BLE001 - never into the framework
            _guard.caught("delivery", error)
        self.begin(event)
        return None

    def begin(self, event: object) -> None:
        """Let this worker's next stage call be about the event.

        Args:
            event: What that call is told as its event.
        """
        try:
            worker, turn = this_worker(), self.arrival(event)
            self._looping = in_loop()
            if self._looping:
                self._outer = TASK_TURN.get()
                self._worker, self._turn = worker, turn
                come(worker, turn)
                return
            self._outer = worker.turn, worker.pending
            worker.turn, worker.pending = None, []
            self._worker, self._turn = worker, turn
            fetched(worker, turn)
        except Exception as error:  # noqa: BLE001 - never into the framework
            _guard.caught("delivery", error)

    def end(self, *, overlapping: bool = False) -> None:
        """Close the turn, and go back to what this worker did before.

        Args:
            overlapping: Whether others may have begun and ended meanwhile, as
                coroutines do on a loop that is not asyncio's.
        """
        worker, turn = self._worker, self._turn
        if turn is None:
            return
        try:
            if worker is None:
                end_turn(turn)
            elif self._looping:
                forget(worker, turn)
                end_turn(turn)
                TASK_TURN.set(self._outer)
            elif overlapping:
                end_turn(turn)
                if worker.turn is turn:
                    worker.turn = None
            else:
                leave_turn(worker)
                end_turn(turn)
                worker.turn, worker.pending = self._outer
        except Exception as error:  # noqa: BLE001 - never into the framework
            _guard.caught("delivery", error)


def here() -> Journey:
    """The journey that what is begun now belongs to: that of the current span."""
    ambient = otel_context.get_current()
    if trace.get_current_span(ambient).get_span_context().is_valid:
        return Journey(clock(), ambient)
    return Journey(clock(), None, ambient)


def is_inside() -> bool:
    """Whether this thread runs an observed call: what is called now nests in it."""
    return enclosing(this_worker()) is not None


def root() -> Delivery | None:
    """The begin of a logical run, or None where it is part of an observed call."""
    return None if is_inside() else Delivery(here(), "")


def part(journey: Journey | None) -> Delivery | None:
    """Part of a run whose journey is known, run by another thread.

    Args:
        journey: That of the run, as ``here`` gave it there.
    """
    if journey is None or is_inside():
        return None
    return Delivery(journey)


def carrier() -> dict[str, str]:
    """The current context, for another process that does part of what runs here."""
    return pack(here())


def continued(carrier: Mapping[str, str] | None) -> Journey | None:
    """The journey that ``carrier`` described in another process.

    Args:
        carrier: What it gave.
    """
    return unpack(clock(), dict(carrier)) if carrier else None


def receive(
    carrier: Any, record: QueueRecord, *, sent_ns: int | None = None
) -> Delivery:
    """The arrival of an event from a broker.

    Args:
        carrier: What a ``Parcel`` carried, or None where the sender was not observed.
        record: The queue it comes from.
        sent_ns: When it was sent, or came due, where the framework knows that better.
    """
    known: dict[str, str] = carrier if isinstance(carrier, dict) else {}
    text = str(known.get(SENT, ""))
    if sent_ns is None and text.isdigit():
        sent_ns = int(text)
    wait = 0 if sent_ns is None else max(time_ns() - sent_ns, 0)
    with record.lock:
        record.dequeued += 1
        if sent_ns is not None:
            record.wait.record(wait)
    context = {key: value for key, value in known.items() if key != SENT}
    return Delivery(unpack(clock() - wait, context), record.name, wait)


def _home() -> Any:
    return LEDGER.pipeline._record  # noqa: SLF001 - same package
