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

from stagelight.health._checks import CHECKS, Warn, check
from stagelight.health._flags import flag, unflag
from stagelight.health._heartbeats import Heartbeat, heartbeat, lease, watch_loop
from stagelight.health._limits import Limits
from stagelight.health._monitor import MONITOR
from stagelight.health._report import HealthReport

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


def report() -> HealthReport:
    """The verdict of the last look at this process; the first one is made at once."""
    return MONITOR.report()


def starting() -> None:
    """Say that the program is still starting, until ``started``: it is not ready."""
    MONITOR.life.held = True
    MONITOR.life.started = False
    MONITOR.tick()


def started() -> None:
    """Say that the program has started."""
    MONITOR.life.held = False
    MONITOR.tick()


def drain() -> None:
    """Say that the program is about to end: not ready from now on, and still alive."""
    MONITOR.life.draining = True
    MONITOR.tick()


def remove_check(name: str) -> None:
    """Forget a check; one that is not there is nothing to forget.

    Args:
        name: Its name.
    """
    CHECKS.remove(name)
