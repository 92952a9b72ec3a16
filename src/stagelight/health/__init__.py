"""Health of this process: what the probes tell, and what you can add to it.

::

    from stagelight import health

    @health.check("database", timeout=1)
    def database():
        connection.execute("SELECT 1")

    with health.heartbeat("poll loop", limit=60) as beat:
        while True:
            beat()
            ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagelight.health._checks import CHECKS, Warn, check
from stagelight.health._flags import flag, unflag
from stagelight.health._heartbeats import Heartbeat, heartbeat, lease, watch_loop
from stagelight.health._limits import Limits
from stagelight.health._report import HealthReport

if TYPE_CHECKING:
    from stagelight.health._monitor import Monitor

__all__ = [
    "HealthReport",
    "Heartbeat",
    "Limits",
    "Warn",
    "check",
    "drain",
    "flag",
    "heartbeat",
    "lease",
    "remove_check",
    "report",
    "started",
    "starting",
    "unflag",
    "watch_loop",
]


def _watching() -> Monitor:
    # Who only flags something needs nothing that watches.
    from stagelight.health._monitor import MONITOR

    return MONITOR


def report() -> HealthReport:
    """The verdict of the last look at this process; the first one is made at once."""
    return _watching().report()


def starting() -> None:
    """Say that the program is still starting, until ``started``: it is not ready."""
    monitor = _watching()
    monitor.life.held = True
    monitor.life.started = False
    monitor.tick()


def started() -> None:
    """Say that the program has started."""
    monitor = _watching()
    monitor.life.held = False
    monitor.tick()


def drain() -> None:
    """Say that the program is about to end: not ready from now on, and still alive."""
    monitor = _watching()
    monitor.life.draining = True
    monitor.tick()


def remove_check(name: str) -> None:
    """Forget a check; one that is not there is nothing to forget.

    Args:
        name: Its name.
    """
    CHECKS.remove(name)
