"""This process as what the page shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from stagelight._cost import telemetry_cost
from stagelight.server._document import encode, make_document
from stagelight.server._live import Costs

if TYPE_CHECKING:
    from stagelight.health._monitor import Monitor
    from stagelight.server._failed import FailedEvents


class Source(Protocol):
    """Where the numbers of a page come from."""

    def document(self, instance: str, *, live: bool = False) -> bytes:
        """The document as JSON, of one instance or of all ("").

        Args:
            instance: Whose.
            live: Whether what the page shows will do.
        """

    def history(self, instance: str, *, hours: bool) -> dict[str, Any]:
        """What each pipeline did."""

    def watch(self) -> None:
        """Somebody looks."""

    def unwatch(self) -> None:
        """Somebody looks away."""


class Local:
    """This process.

    Args:
        monitor: Whose verdict the document has.
        failed: The latest failed events.
        tap: Whether events may be looked at.
        trace_url: Address of a trace, with ``{trace_id}`` in it.
    """

    def __init__(
        self,
        monitor: Monitor,
        failed: FailedEvents,
        *,
        tap: bool,
        trace_url: str | None,
    ) -> None:
        self._monitor, self._failed = monitor, failed
        self._tap, self._trace_url = tap, trace_url
        self._costs = Costs()
        self.watch, self.unwatch = monitor.watch, monitor.unwatch

    def document(self, _: str, *, live: bool = False) -> bytes:
        """The document as JSON; there is one instance only."""
        return encode(
            make_document(
                self._monitor,
                self._failed,
                tap=self._tap,
                trace_url=self._trace_url,
                live=live,
                costs=self._costs if live else telemetry_cost,
            )
        )

    def history(self, _: str, *, hours: bool) -> dict[str, Any]:
        """What each pipeline did."""
        return self._monitor.history(hours=hours)
