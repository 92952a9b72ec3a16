"""See every stage of a Python pipeline: traces, metrics, logs over OpenTelemetry."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from stagelight import (
    _budget,
    _cpu,
    _guard,
    _logs,
    _metrics,
    _sampling,
    _sinks,
)
from stagelight._detail import detail
from stagelight._errors import ConfigurationError, StagelightError
from stagelight._pipeline import Pipeline, journey
from stagelight._pool import ON_CHILD
from stagelight._retry import drop, retry
from stagelight._version import __version__

if TYPE_CHECKING:
    from stagelight._capture import Capture
    from stagelight._flushing import force_flush, shutdown
    from stagelight._proxies import ObservedStage
    from stagelight._setup import configure
    from stagelight.server import Server, asgi_app, serve

__all__ = [
    "Capture",
    "ConfigurationError",
    "ObservedStage",
    "Pipeline",
    "Server",
    "StagelightError",
    "__version__",
    "asgi_app",
    "configure",
    "detail",
    "drop",
    "force_flush",
    "journey",
    "retry",
    "serve",
    "shutdown",
]

#: Loaded on first use: they need wrapt, or what exporting needs.
_LATER: Final = {
    "Capture": "_capture",
    "ObservedStage": "_proxies",
    "Server": "server",
    "asgi_app": "server",
    "configure": "_setup",
    "force_flush": "_flushing",
    "serve": "server",
    "shutdown": "_flushing",
}
#: Submodules that are there without an import of their own.
_MODULES: Final = frozenset({"health"})


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATER, *_MODULES])


def _configure_child() -> None:
    from stagelight._setup import configure_child

    _sinks.CONFIGURED.clear()  # the address to serve at is the parent's
    configure_child()


def _serve_if_asked() -> None:
    """Serve the page where the settings say an address; its absence stops nobody."""
    from stagelight._config import load

    address = load().listen
    if address is None or address == "off":
        return
    from stagelight.server import serve

    _sinks.CONFIGURED.clear()
    try:
        serve(address)
    except (ConfigurationError, OSError) as error:
        _guard.LOG.warning("stagelight serves no page: %s", error)


def _start_alerts(setting: object) -> None:
    from stagelight import alerts

    alerts.start(setting)


_cpu.register()
_sampling.register()
_budget.register()
_metrics.register()
_logs.register()
ON_CHILD.append(_configure_child)
_sinks.CONFIGURED.append(_serve_if_asked)
_sinks.ON_ALERTS.append(_start_alerts)
