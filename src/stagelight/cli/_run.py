"""``stagelight run``: set up, run the program, and report however it ends."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

from stagelight import _failures, _guard, _sinks
from stagelight._errors import ConfigurationError
from stagelight.cli import _alerting, _program, _serving, _stderr
from stagelight.cli._ending import Ending
from stagelight.cli._modules import SetAside
from stagelight.instrumentation import _children, _install, _matching

if TYPE_CHECKING:
    from stagelight.cli._plan import Plan


def run(plan: Plan, *, collecting: bool = True) -> None:
    """Run a program in this process, as plain Python would.

    Args:
        plan: What to run and how.
        collecting: Whether garbage is to be collected while it runs.
    """
    _stderr.take_warnings()
    _sinks.CONFIGURED.clear()  # it is served here, or not at all
    exporting = _export(plan)
    _serving.serve(plan)
    _alerting.start(plan)
    aside = SetAside()
    Ending(plan, aside, exporting=exporting).install()
    try:
        if plan.settings.capture is not None:
            _failures.install(plan.settings.capture, plan.settings.redact)
        _matching.name_main(*_program.names(plan))
        _install.install(plan.settings)
        _children.install(plan.settings, exporting=exporting)
    except Exception as error:  # noqa: BLE001 - the program runs all the same
        _guard.caught("instrument", error)
    # What was loaded until now lives as long as the program: without this, each of its
    # collections would walk through all of it. The few cycles among it may as well.
    gc.freeze()
    if collecting:
        gc.enable()
    _program.run(plan, aside)


def _export(plan: Plan) -> bool:
    """Set up exporters where the environment asks for them."""
    from stagelight import _environment

    settings = plan.settings
    try:
        if _environment.exporting_wanted():
            from stagelight import _setup

            _setup.configure(
                service_name=settings.pipeline or _program.names(plan)[0],
                journeys_per_second=settings.journeys_per_second,
                rescues_per_second=settings.rescues_per_second,
                json_logs=settings.json_logs,
                event_id=settings.event_id,
                alerts=False,
            )
            return True
        if settings.json_logs:
            from stagelight import _logs

            _logs.write_json_lines()
    except ConfigurationError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
    return False
