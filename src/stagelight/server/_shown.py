"""What one server shows: made when it is needed, checked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagelight._errors import ConfigurationError
from stagelight._redaction import Redactor
from stagelight.server._failed import FailedEvents

if TYPE_CHECKING:
    from stagelight._config import Settings
    from stagelight.health import Limits
    from stagelight.health._monitor import Monitor
    from stagelight.server._access import Access
    from stagelight.server._app import Application
    from stagelight.server._local import Source


class Shown:
    """What is shown, and the monitor that looks for it.

    Failed events are heard of from the beginning.

    Args:
        settings: What the user decided.
        access: What is asked of those who want more than a probe.
        limits: Thresholds of health; by default those of the settings.
        tap: Whether samples of events may be looked at; by default as set.
        trace_url: Address of a trace; by default as set.
        source: Where the numbers come from, if not from this process.

    Raises:
        ConfigurationError: The trace's address is none.
    """

    def __init__(  # noqa: PLR0913 - keyword only, all optional
        self,
        settings: Settings,
        access: Access,
        *,
        limits: Limits | None = None,
        tap: bool | None = None,
        trace_url: str | None = None,
        source: Source | None = None,
    ) -> None:
        link = trace_url or settings.trace_url
        if link is not None and (
            "{trace_id}" not in link or not link.startswith(("http://", "https://"))
        ):
            raise ConfigurationError(
                f"trace_url is {link!r}; it takes an http(s) address with "
                "{trace_id}, as http://localhost:16686/trace/{trace_id}"
            )
        self._settings, self._access = settings, access
        self._limits, self._link, self._source = limits, link, source
        self._tap = (settings.tap if tap is None else tap) and source is None
        self._redactor = Redactor(settings.redact)
        self._failed = FailedEvents(self._redactor)
        self._begun = False
        if source is None:
            self._failed.install()

    def monitor(self) -> Monitor:
        """What looks at this process."""
        from stagelight.health._monitor import MONITOR

        return MONITOR

    def begin(self) -> None:
        """Start to look, if that is not done yet."""
        if self._begun:
            return
        from stagelight.health import Limits

        self._begun = True
        monitor = self.monitor()
        if self._source is None:
            monitor.set_limits(self._limits or Limits(ingress=self._settings.ingress))
        else:
            monitor.life.seen = monitor.life.started = True
        monitor.start()

    def end(self) -> None:
        """Look no more."""
        self._failed.uninstall()
        if self._begun:
            self._begun = False
            self.monitor().stop()

    def application(self) -> Application:
        """What answers."""
        from stagelight.server._app import Application
        from stagelight.server._local import Local

        monitor = self.monitor()
        source = self._source or Local(
            monitor, self._failed, tap=self._tap, trace_url=self._link
        )
        return Application(monitor, self._access, source, self._redactor, tap=self._tap)
