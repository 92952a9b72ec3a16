"""All joints together: installed once, undone in one go."""

from __future__ import annotations

import atexit
from functools import partial
from typing import TYPE_CHECKING, Final

from stagelight import _detail, _guard
from stagelight._outcomes import EVENT_KEY
from stagelight.instrumentation import (
    _classes,
    _executors,
    _hooks,
    _made,
    _matching,
    _queues,
    _script,
    _targets,
    _threads,
)
from stagelight.instrumentation._ledger import LEDGER
from stagelight.instrumentation.frameworks import _register as _frameworks

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._config import Settings

_INSTALLED: Final[list[bool]] = []


def install(settings: Settings, *, complaining: bool = True) -> None:
    """Observe what the application makes from now on.

    Args:
        settings: The user's.
        complaining: Whether to warn at the end of patterns that matched nothing.
    """
    if _INSTALLED:
        return
    _INSTALLED.append(True)
    LEDGER.clear(settings)
    _detail.set_up(settings.detail, settings.cost_budget)
    if settings.event_id:
        EVENT_KEY[:] = settings.event_id.split(".")
    _each(
        "instrument",
        _queues.install,
        _executors.install,
        _threads.install,
        partial(_targets.install, settings.stages),
        _classes.install,
        _frameworks.install,
    )
    if complaining:
        atexit.register(complain)


def complain() -> None:
    """Warn of patterns that matched nothing; at the end, when all is imported."""
    _matching.complain(_targets.candidates)


def uninstall() -> None:
    """Put everything back; what is observed already goes on being recorded."""
    if not _INSTALLED:
        return
    _INSTALLED.clear()
    atexit.unregister(complain)
    _each(
        "uninstrument",
        _hooks.clear,
        _made.unwatch,
        _threads.uninstall,
        _classes.uninstall,
        _targets.uninstall,
        _script.uninstall,
        _frameworks.uninstall,
    )


def _each(place: str, *joints: Callable[[], object]) -> None:
    """Put in or undo each of several joints, whatever becomes of the others."""
    for joint in joints:
        try:
            joint()
        except Exception as error:  # noqa: BLE001, PERF203 - the others are to follow
            _guard.caught(place, error)
