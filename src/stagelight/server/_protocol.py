"""HTTP connections within bounds: few at once, none that idles, nothing huge."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

#: Connections at once; one more takes the place of the one that idles longest.
MOST: Final = 256
#: Seconds from the connection to its whole request.
PATIENCE: Final = 10.0
#: Bytes of a request's line and headers together.
LARGEST: Final = 16_384
#: Seconds that an answered connection may idle.
KEEP_ALIVE: Final = 5

#: What clients do wrong is no matter of the program's log.
_QUIET: Final = logging.Logger(  # noqa: LOG001 - it is in no tree
    "stagelight.server", logging.CRITICAL + 1
)


class BoundedProtocol(H11Protocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _QUIET
        self.access_log = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in; where there are too many, another one has to go."""
        super().connection_made(transport)
        waiting = _waiting(self.server_state)
        waiting[self] = None
        self._deadline = self.loop.call_later(PATIENCE, self._expire)
        if len(self.connections) > MOST:
            # Out of the list at once: that it is lost is told only later.
            oldest = next(iter(waiting))
            del waiting[oldest]
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._arrived()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Once the whole head of its request is there it may take its time."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._arrived()

    def on_response_complete(self) -> None:
        """It idles again."""
        super().on_response_complete()
        if not self.transport.is_closing():
            _waiting(self.server_state)[self] = None

    def _arrived(self) -> None:
        _waiting(self.server_state).pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self.transport.abort()


def _waiting(state: Any) -> dict[BoundedProtocol, None]:
    """Connections without a request at hand, the oldest first."""
    found: dict[BoundedProtocol, None] | None = getattr(state, "waiting", None)
    if found is None:
        found = state.waiting = {}
    return found
