"""Alerts that fire while there is still time, with and without Prometheus.

One rule object is evaluated in this process, printed for Prometheus by ``stagelight
rules``, and tested there. ``configure()`` and ``stagelight run`` start the engine where
the setting ``alerts`` asks for it; ``start()`` does it by hand.
"""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING, Any, Final

from stagelight import _config, _sinks
from stagelight.alerts._defaults import default_rules
from stagelight.alerts._notice import Notice
from stagelight.alerts._rule import Rule, user_rule
from stagelight.alerts._settings import read
from stagelight.alerts._targets import Alertmanager, Callback, Slack, Webhook, in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stagelight.alerts._delivery import Target
    from stagelight.alerts._engine import Engine

__all__ = [
    "Alertmanager",
    "Callback",
    "Notice",
    "Rule",
    "Slack",
    "Webhook",
    "default_rules",
    "firing",
    "history",
    "in_words",
    "start",
    "stop",
    "user_rule",
]

_RUNNING: Final[list[Engine]] = []
_AT_EXIT: Final[list[bool]] = []
_KINDS: Final[dict[str, Callable[[str], Target]]] = {
    "alertmanager": Alertmanager,
    "webhook": Webhook,
    "slack": Slack,
}


def start(
    setting: Any = None,
    *,
    targets: Iterable[Target] = (),
    tell: Callable[[list[Notice]], None] | None = None,
) -> None:
    """Evaluate rules in this process from now on.

    Args:
        setting: What ``[tool.stagelight.alerts]`` would hold; None for what it holds.
        targets: Who is told besides those that the setting names, such as
            ``Callback(function)``.
        tell: Who is told in place of the logger ``stagelight.alerts``, in the thread
            that evaluates; by default whoever was told before.

    Raises:
        ConfigurationError: The setting cannot be right.
    """
    begin(setting, targets=targets, tell=tell)


def begin(
    setting: Any = None,
    *,
    targets: Iterable[Target] = (),
    tell: Callable[[list[Notice]], None] | None = None,
    waited: bool = False,
) -> None:
    """Do what ``start`` does, also where the first interval is over already.

    Args:
        setting: As of ``start``.
        targets: As of ``start``.
        tell: As of ``start``.
        waited: Whether it is.

    Raises:
        ConfigurationError: The setting cannot be right.
    """
    from stagelight._pauses import PAUSES
    from stagelight.alerts._engine import Engine
    from stagelight.alerts._targets import to_log

    found = read(_config.load().alerts if setting is None else setting)
    stop()
    if tell is not None:
        _sinks.TELL[:] = [tell]
    if not found.enabled:
        return
    PAUSES.install()
    named = [_KINDS[kind](address) for kind, address in found.targets.items()]
    engine = Engine(
        found.rules,
        interval=found.interval,
        targets=[*named, *targets],
        log=next(iter(_sinks.TELL), to_log) if found.log else None,
    )
    engine.start(waited=waited)
    _RUNNING.append(engine)
    if not _AT_EXIT:
        _AT_EXIT.append(True)
        atexit.register(stop)


def stop(timeout: float = 2.0) -> None:
    """Stop what ``start`` started, and deliver what waits.

    Args:
        timeout: Seconds that it may take.
    """
    _sinks.AWAITED.clear()
    while _RUNNING:
        _RUNNING.pop().close(timeout)


def firing() -> list[Notice]:
    """The alerts that fire now, victims included; none where nothing is evaluated."""
    return [one for engine in _RUNNING for one in engine.firing()]


def history() -> list[Notice]:
    """What was told since ``start``: all that fires, and the fifty resolved last."""
    return [one for engine in _RUNNING for one in engine.history()]


def _after_fork() -> None:
    # A child has neither the thread nor the parent's trouble; configure() starts anew.
    for engine in _RUNNING:
        engine.abandon()
    _RUNNING.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
