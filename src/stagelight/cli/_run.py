"""``stagelight run``: set up, run the program, and report however it ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from stagelight import _guard
from stagelight._errors import ConfigurationError
from stagelight.cli import _program, _stderr
from stagelight.cli._ending import Ending
from stagelight.cli._modules import SetAside
from stagelight.instrumentation import _children, _install, _matching

if TYPE_CHECKING:
    from stagelight.cli._plan import Plan


def run(plan: Plan) -> None:
    """Run a program in this process, as plain Python would.

    Args:
        plan: What to run and how.
    """
    _stderr.take_warnings()
    exporting = _export(plan)
    aside = SetAside()
    Ending(plan, aside, exporting=exporting).install()
    try:
        _matching.name_main(*_program.names(plan))
        _install.install(plan.settings)
        _children.install(plan.settings, exporting=exporting)
    except Exception as error:  # noqa: BLE001 - the program runs all the same
        _guard.caught("instrument", error)
    _program.run(plan, aside)


def _export(plan: Plan) -> bool:
    """Set up exporters where the environment asks for them."""
    from stagelight import _environment, _logs, _setup

    settings = plan.settings
    try:
        if _environment.exporting_wanted():
            _setup.configure(
                service_name=settings.pipeline or _program.names(plan)[0],
                journeys_per_second=settings.journeys_per_second,
                rescues_per_second=settings.rescues_per_second,
                json_logs=settings.json_logs,
                event_id=settings.event_id,
            )
            return True
        if settings.json_logs:
            _logs.write_json_lines()
        if settings.alerts:
            from stagelight import alerts

            alerts.start(settings.alerts)
    except ConfigurationError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
    return False
