"""The SDK's providers: which are in use, and making those that nobody set.

The SDK reads what it reads from ``OTEL_*`` itself, through its own configurator.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import _logs as otel_logs
from opentelemetry import metrics, trace

from stagelight import _export, _logs, _secrets
from stagelight._backlog import LOGS, METRICS, TRACES
from stagelight._environment import SIGNALS, defaults, environment, resource_keys
from stagelight._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Tells spawned children of this program that they export as well.
CHILD: Final = "_STAGELIGHT_EXPORTING"


class _Providers:
    """The providers in use, and whether we made them."""

    def __init__(self) -> None:
        self.tracer: Any = None
        self.meter: Any = None
        self.logger: Any = None
        self.made = False
        self.closed = False

    @property
    def by_signal(self) -> dict[str, Any]:
        return {
            TRACES: self.tracer,
            METRICS: self.meter,
            LOGS: self.logger,
        }


PROVIDERS: Final = _Providers()


def make_missing(
    service_name: str | None, attributes: dict[str, str], given: Sequence[object]
) -> None:
    """Let the SDK make the providers that nobody set or gave, from the environment."""
    if service_name:
        attributes.setdefault("service.name", service_name)
    for key in resource_keys():
        attributes.pop(key, None)  # what is decided outside goes before our arguments
    missing = {
        "TRACES": isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider),
        "METRICS": type(metrics.get_meter_provider()).__name__ == "_ProxyMeterProvider",
        "LOGS": isinstance(otel_logs.get_logger_provider(), _logs.PROXY),
    }
    for signal, provider in zip(SIGNALS, given, strict=True):
        missing[signal] = missing[signal] and provider is None
    if not any(missing.values()):
        return
    _secrets.keep_out_of_logs()
    with environment(defaults()):
        if all(missing.values()):
            _make_all(attributes)
        else:
            _make_some(missing, attributes)
    PROVIDERS.made = True
    os.environ[CHILD] = "1"
    _export.watch(
        trace.get_tracer_provider() if missing["TRACES"] else None,
        metrics.get_meter_provider() if missing["METRICS"] else None,
        otel_logs.get_logger_provider() if missing["LOGS"] else None,
    )


def _unusable(error: Exception) -> ConfigurationError:
    return ConfigurationError(
        "the OpenTelemetry SDK cannot be set up from the environment: "
        + _secrets.redact(str(error))
    )


def _make_all(attributes: dict[str, str]) -> None:
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator

    class Configurator(_OTelSDKConfigurator):
        """The SDK asks those who configure it to subclass this."""

    try:
        if os.environ.get("OTEL_CONFIG_FILE"):
            Configurator().configure()  # type: ignore[no-untyped-call]
        else:
            Configurator().configure(  # type: ignore[no-untyped-call]
                resource_attributes=attributes
            )
    except Exception as error:
        raise _unusable(error) from error


def _make_some(missing: Mapping[str, bool], attributes: dict[str, str]) -> None:
    from opentelemetry.sdk import _configuration as sdk
    from opentelemetry.sdk.resources import Resource

    names = [
        sdk._get_exporter_names(signal.lower()) if missing[signal] else []  # type: ignore[arg-type]  # noqa: SLF001
        for signal in SIGNALS
    ]
    try:
        spans, readers, records = sdk._import_exporters(*names)  # noqa: SLF001
    except Exception as error:
        raise _unusable(error) from error
    resource = Resource.create(attributes)
    if missing["TRACES"]:
        sdk._init_tracing(spans, resource=resource)  # noqa: SLF001
    if missing["METRICS"]:
        sdk._init_metrics(readers, resource=resource)  # noqa: SLF001
    if missing["LOGS"]:
        sdk._init_logging(records, resource=resource, setup_logging_handler=False)  # noqa: SLF001
