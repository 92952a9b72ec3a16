"""Alerts of a program under ``stagelight run``: on stderr as they begin and end."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from stagelight import _guard, _sinks
from stagelight._errors import ConfigurationError
from stagelight._pinned import Pinned
from stagelight._registry import LATE, REGISTRY
from stagelight.cli import _stderr
from stagelight.cli._modules import hides

#: Lines of stacks that are shown.
_DEEP: Final = 20
#: Seconds from the first pipeline to the first evaluation of the default rules, as of
#: what watches its health. None of them holds before two minutes are over.
FIRST: Final = 30.0
#: What evaluates, and what that loads as it begins.
_EVALUATE: Final = ("stagelight.alerts._engine", "stagelight._providers")

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight.alerts import Notice
    from stagelight.cli._plan import Plan


def start(plan: Plan) -> None:
    """Evaluate rules, unless the setting ``alerts`` is false.

    Rules of one's own are read here, where what is wrong with them can still be told.
    What evaluates the default ones is loaded a while after the first pipeline began:
    many a program is over by then. Not so where its modules may have the same names.

    Args:
        plan: With the settings, and whether stderr is the program's alone.
    """
    setting = plan.settings.alerts
    if setting is False:
        return
    told = tell if plan.table else _nobody
    try:
        if not isinstance(setting, Mapping) and not hides(
            plan, sys.stdlib_module_names
        ):
            _Awaited(told).start()
            return
        from stagelight import alerts

        alerts.start(setting, tell=told)
    except ConfigurationError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
    except Exception as error:  # noqa: BLE001 - the program runs all the same
        _guard.caught("alerts", error)


class _Awaited:
    """The default rules, evaluated from a while after the first pipeline on.

    Args:
        told: Who is told.
    """

    def __init__(self, told: Callable[[list[Notice]], None]) -> None:
        self._told = told
        self._pinned = Pinned()
        self._pid = os.getpid()

    def start(self) -> None:
        """Wait for the first pipeline."""
        _sinks.TELL[:] = [self._told]
        _sinks.AWAITED[:] = [self]
        REGISTRY.on_first.append(self._begin)

    def _begin(self) -> None:
        if not self._wanted():
            return
        thread = threading.Thread(
            target=self._run, name="stagelight-alerts", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # there are too many, or the program ends
            _guard.caught("alerts", error)

    def _wanted(self) -> bool:
        """Whether this is the program, and it did not start or stop alerts itself."""
        return self._pid == os.getpid() and self in _sinks.AWAITED

    def _run(self) -> None:
        time.sleep(FIRST)
        try:
            if not self._wanted():
                return
            with LATE, self._pinned.used():
                for name in _EVALUATE:
                    importlib.import_module(name)
            from stagelight import alerts

            if self._wanted():
                alerts.begin(True, waited=True)  # noqa: FBT003 - the setting
        except Exception as error:  # noqa: BLE001 - never into the program
            _guard.caught("alerts", error)


def tell(notices: list[Notice]) -> None:
    """Write notices to stderr.

    Args:
        notices: What began or ended.
    """
    from stagelight.alerts import in_words

    for one in notices:
        _stderr.write(f"stagelight  {in_words(one)}\n")
        if one.stack:
            lines = one.stack.splitlines()[:_DEEP]
            _stderr.write("".join(f"  {line}\n" for line in lines))


def _nobody(_: list[Notice]) -> None:
    """Tell nobody: with --no-table stderr is the program's."""


def end() -> list[Notice]:
    """What was told while the program ran; nothing is evaluated any more."""
    _sinks.AWAITED.clear()
    if "stagelight.alerts" not in sys.modules:
        return []
    from stagelight import alerts

    told = alerts.history()
    alerts.stop()
    return told
