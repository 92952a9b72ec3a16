"""A fleet behind a page: asked in a thread, so that nobody has to wait."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight.fleet._prometheus import FleetError

if TYPE_CHECKING:
    from stagelight.fleet import Fleet

#: Seconds between two questions.
_PERIOD: Final = 5.0
#: Seconds for which a process is asked for after somebody looked at it.
_REMEMBERED: Final = 60.0


class Watched:
    """A fleet as what a page shows: asked in a thread, so that nobody has to wait.

    Args:
        fleet: The fleet.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._lock = threading.Lock()
        self._documents: dict[str, bytes] = {}
        self._wanted: dict[str, float] = {"": time.monotonic()}
        self._end = threading.Event()
        self._ask("")
        self._thread = threading.Thread(
            target=self._run, name="stagelight-fleet", daemon=True
        )
        self._thread.start()

    def document(self, instance: str, *, live: bool = False) -> bytes:  # noqa: ARG002
        """The latest document as JSON; of a process never asked for, that of all."""
        with self._lock:
            self._wanted[instance] = time.monotonic()
            return self._documents.get(instance) or self._documents[""]

    def history(self, instance: str, *, hours: bool) -> dict[str, Any]:
        """What each pipeline did since somebody began to watch."""
        return self._fleet.history(instance, hours=hours)

    def watch(self) -> None:
        """Nothing changes."""

    def unwatch(self) -> None:
        """Nothing changes."""

    def close(self) -> None:
        """Ask no more."""
        self._end.set()
        self._thread.join(2)

    def _run(self) -> None:
        while not self._end.wait(_PERIOD):
            with self._lock:
                far = time.monotonic() - _REMEMBERED
                wanted = [
                    one for one, at in self._wanted.items() if at > far or not one
                ]
            for instance in wanted:
                try:
                    self._ask(instance)
                except FleetError:  # noqa: PERF203 - a few
                    continue  # the page says how old its numbers are
                except Exception as error:  # noqa: BLE001 - the next may succeed
                    _guard.caught("fleet", error)

    def _ask(self, instance: str) -> None:
        from stagelight.server._document import encode

        body = encode(self._fleet.state(instance))
        with self._lock:
            self._documents[instance] = body
