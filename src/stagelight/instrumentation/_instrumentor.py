"""The instrumentor that ``opentelemetry-instrument`` finds by its entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from stagelight import _config, _failures, _guard
from stagelight._errors import ConfigurationError
from stagelight.instrumentation import _install

if TYPE_CHECKING:
    from collections.abc import Collection


class StagelightInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Observes the application's queues, executors and stages in this process.

    Nothing here raises: the launcher would skip every instrumentor after this one.
    """

    __module__ = "stagelight.instrumentation"

    def instrumentation_dependencies(self) -> Collection[str]:
        """Everything observed is the standard library's or the application's own."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        try:
            settings = _config.load()
        except ConfigurationError as error:
            _guard.warn_once(
                "configuration",
                "stagelight goes on without its configuration; %s",
                error,
            )
            settings = _config.Settings()
        try:
            _adopt(settings, kwargs)
        except ConfigurationError as error:
            _guard.warn_once(
                "export", "stagelight exports nothing of its own accord; %s", error
            )
        except Exception as error:  # noqa: BLE001 - never into the launcher
            _guard.caught("instrument", error)
        try:
            if settings.capture is not None:
                _failures.install(settings.capture, settings.redact)
            _install.install(settings)
        except Exception as error:  # noqa: BLE001 - never into the launcher
            _guard.caught("instrument", error)

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002 - the base's signature
        try:
            _install.uninstall()
        except Exception as error:  # noqa: BLE001 - never into the caller
            _guard.caught("uninstrument", error)


def _adopt(settings: _config.Settings, kwargs: dict[str, Any]) -> None:
    """Emit through the providers that the launcher has set up."""
    from stagelight import _environment, _logs, _setup

    if not kwargs and _environment.exporting_wanted():
        # Without a distribution's configurator the launcher sets no provider up.
        _setup.configure()
        return
    rate, rescues = settings.journeys_per_second, settings.rescues_per_second
    _setup.adopt(
        tracer_provider=kwargs.get("tracer_provider"),
        meter_provider=kwargs.get("meter_provider"),
        journeys_per_second=None if rate == "all" else rate,
        rescues_per_second=None if rescues == "all" else rescues,
    )
    if settings.json_logs:
        _logs.write_json_lines()
