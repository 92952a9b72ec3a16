"""See every stage of a Python pipeline: traces, metrics, logs over OpenTelemetry."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from stagelight import _logs, _metrics, _sinks
from stagelight._errors import ConfigurationError, StagelightError
from stagelight._pipeline import Pipeline, journey
from stagelight._pool import ON_CHILD
from stagelight._retry import drop, retry
from stagelight._version import __version__

if TYPE_CHECKING:
    from stagelight._flushing import force_flush, shutdown
    from stagelight._proxies import ObservedStage
    from stagelight._setup import configure

__all__ = [
    "ConfigurationError",
    "ObservedStage",
    "Pipeline",
    "StagelightError",
    "__version__",
    "configure",
    "drop",
    "force_flush",
    "journey",
    "retry",
    "shutdown",
]

#: Loaded on first use: they need wrapt, or what exporting needs.
_LATER: Final = {
    "ObservedStage": "_proxies",
    "configure": "_setup",
    "force_flush": "_flushing",
    "shutdown": "_flushing",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
        globals()[name] = value
        return value
    if name == "alerts":
        return importlib.import_module("stagelight.alerts")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATER])


def _configure_child() -> None:
    from stagelight._setup import configure_child

    configure_child()


def _start_alerts(setting: object) -> None:
    from stagelight import alerts

    alerts.start(setting)


_metrics.register()
_logs.register()
ON_CHILD.append(_configure_child)
_sinks.ON_ALERTS.append(_start_alerts)
