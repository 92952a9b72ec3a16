"""An event that a framework hands to a broker: counted, and the begin of a trace.

Neither before the broker has it: what it does not take, because it is away or has the
same one already, is no event of the queue, and no trace is left of it.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any, Protocol

from stagelight._carrier import pack
from stagelight._journey import open_journey
from stagelight._onward import carry
from stagelight._tracer import TRACER
from stagelight._workers import this_worker
from stagelight.instrumentation.frameworks._delivery import SENT
from stagelight.instrumentation.frameworks._wrapping import told

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry import trace

    from stagelight._buffers import QueueRecord
    from stagelight._journey import Journey

    class Sent(Protocol):
        """What is told whether the broker has it."""

        def accepted(self) -> None:
            """It has."""

        def refused(self, reason: str) -> None:
            """It has not."""

    Pack = Callable[[Any, tuple[Any, ...], dict[str, Any]], Sent | None]


class Parcel:
    """One event on its way to a broker.

    Args:
        item: The event; only its identity is looked at.
        record: The queue it goes to.
        before: What travelled with it last time, where it is sent again.
        journey: The journey that it is on, where that is known.
        count: Whether it is in the queue then, or will be later.
        forget: Takes back what was written on the event, where it is refused.

    Attributes:
        carrier: What is to travel with the event.
    """

    __slots__ = ("_count", "_forget", "_record", "_root", "carrier")

    def __init__(  # noqa: PLR0913 - named by all who call it
        self,
        item: object,
        record: QueueRecord,
        before: Any = None,
        journey: Journey | None = None,
        *,
        count: bool = True,
        forget: Callable[[], object] | None = None,
    ) -> None:
        self._record = record
        self._count = count
        self._forget = forget
        self._root: trace.Span | None = None
        self.carrier: dict[str, str]
        if isinstance(before, dict) and SENT in before:
            self.carrier = {**before, SENT: str(time_ns())}
            self._forget = None
            return
        if journey is None:
            journey = carry(this_worker(), item, record.name)
        if TRACER.on and journey.context is None:
            root = open_journey(journey, record.pipeline.name, end=False)
            self._root = None if journey.quiet else root
        self.carrier = {**pack(journey), SENT: str(time_ns())}

    def accepted(self) -> None:
        """The broker has it."""
        root, self._root = self._root, None
        if root is not None:
            root.end()
        if self._count:
            self._record.enqueue()

    def refused(self, reason: str) -> None:
        """The broker does not have it.

        Args:
            reason: Why; one of few.
        """
        self._root = None
        self._record.refuse(reason)
        if self._forget is not None:
            self._forget()


def sending(
    function: Any, pack: Pack, verdict: Callable[[Any], str | None] | None = None
) -> Any:
    """A function that hands events to a broker, and tells what became of them.

    Args:
        function: A function or coroutine function.
        pack: Gets instance, arguments and keyword arguments of a call, and gives what
            it sends, or None.
        verdict: Looks at a result, and says why nothing was sent, if so.
    """

    def end(parcel: Sent | None, outcome: Any) -> None:
        if parcel is None:
            return
        reason = None
        if isinstance(outcome, BaseException):
            kind = type(outcome)
            reason = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        elif verdict is not None:
            reason = verdict(outcome)
        if reason is None:
            parcel.accepted()
        else:
            parcel.refused(reason)

    return told(function, end, pack)
