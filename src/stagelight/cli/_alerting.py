"""Alerts of a program under ``stagelight run``: on stderr as they begin and end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from stagelight import _guard
from stagelight._errors import ConfigurationError
from stagelight.cli import _stderr

#: Lines of stacks that are shown.
_DEEP: Final = 20

if TYPE_CHECKING:
    from stagelight.alerts import Notice
    from stagelight.cli._plan import Plan


def start(plan: Plan) -> None:
    """Evaluate rules, unless the setting ``alerts`` is false.

    What that needs is loaded here: once the program runs, modules of its own may have
    the same names.

    Args:
        plan: With the settings, and whether stderr is the program's alone.
    """
    if plan.settings.alerts is False:
        return
    try:
        from stagelight import alerts

        alerts.start(plan.settings.alerts, tell=tell if plan.table else _nobody)
    except ConfigurationError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
    except Exception as error:  # noqa: BLE001 - the program runs all the same
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
    if "stagelight.alerts" not in sys.modules:
        return []
    from stagelight import alerts

    told = alerts.history()
    alerts.stop()
    return told
