"""``configure()``: one call that makes everything observed leave over OTLP.

Providers that are set already are adopted as they are.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Literal

from opentelemetry import _logs as otel_logs
from opentelemetry import metrics, trace

from stagelight import (
    _detail,
    _failures,
    _guard,
    _lifecycle,
    _logs,
    _metrics,
    _sinks,
)
from stagelight._capture import as_capture
from stagelight._environment import check_environment
from stagelight._errors import ConfigurationError
from stagelight._flushing import flush_now
from stagelight._outcomes import EVENT_KEY
from stagelight._providers import CHILD, PROVIDERS, make_missing
from stagelight._tracer import TRACER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stagelight._capture import Capture

_MAX_RATE: Final = 1_000_000


def configure(  # noqa: PLR0913 - keyword only, all optional
    *,
    service_name: str | None = None,
    resource_attributes: Mapping[str, str] | None = None,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
    logger_provider: otel_logs.LoggerProvider | None = None,
    journeys_per_second: float | Literal["all"] | None = None,
    rescues_per_second: float | Literal["all"] | None = None,
    json_logs: bool | None = None,
    event_id: str | None = None,
    capture: Capture | str | os.PathLike[str] | None = None,
    alerts: bool | Mapping[str, Any] | None = None,
) -> None:
    """Export everything over OTLP, as the ``OTEL_*`` environment says.

    Every variable that the SDK supports is followed, ``OTEL_CONFIG_FILE`` included.
    Where none names an exporter, OTLP is used, by http/protobuf (by grpc where the
    endpoint's port is 4317). Providers that are passed or set already are adopted
    instead. Where the setting ``listen`` says an address, page and probes are
    served. Flushes at exit, at SIGTERM and in forked children. Call it once, early.

    Args:
        service_name: ``service.name``, unless ``OTEL_SERVICE_NAME`` is set.
        resource_attributes: Further attributes of the resource.
        tracer_provider: A provider to use instead of the global one.
        meter_provider: A provider to use instead of the global one.
        logger_provider: A provider to use instead of the global one.
        journeys_per_second: Journeys sampled at their head, or ``"all"``; by default
            50. With 0 only what is rescued has a trace. ``OTEL_TRACES_SAMPLER``
            replaces it.
        rescues_per_second: Further journeys that are traced because a stage failed
            (and, at a twentieth of the rate, because one was far slower than its
            like), or ``"all"``; by default 100, 0 for none.
        json_logs: Whether event records are written as JSON lines to stderr as well,
            through the stdlib logger ``stagelight.events``.
        event_id: Attribute or key path of an event's identifier, such as ``meta.id``.
        capture: A folder in which failed events are kept, to be looked at and
            replayed by ``stagelight failures`` and ``stagelight replay``; or a
            ``Capture`` that says which, how and how many.
        alerts: Whether rules are evaluated in this process, or what
            ``[tool.stagelight.alerts]`` would hold.

    Raises:
        ConfigurationError: A value is wrong: an endpoint, a protocol, an unknown key
            in the configuration file. Nothing was set up then.
    """
    from stagelight._config import load

    settings = load()
    journeys = _rate(
        "journeys_per_second", journeys_per_second, settings.journeys_per_second
    )
    rescues = _rate(
        "rescues_per_second", rescues_per_second, settings.rescues_per_second
    )
    kept = settings.capture if capture is None else as_capture(capture)
    check_environment()
    make_missing(
        service_name,
        dict(resource_attributes or {}),
        given=(tracer_provider, meter_provider, logger_provider),
    )
    _detail.set_up(settings.detail, settings.cost_budget)
    path = event_id or settings.event_id
    EVENT_KEY[:] = path.split(".") if path else []
    if settings.json_logs if json_logs is None else json_logs:
        _logs.write_json_lines()
    adopt(
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        logger_provider=logger_provider,
        journeys_per_second=journeys,
        rescues_per_second=rescues,
    )
    _lifecycle.install(flush_now)
    if kept is not None:
        _failures.install(kept, settings.redact)
    for tell in _sinks.CONFIGURED:
        tell()
    wanted = settings.alerts if alerts is None else alerts
    if wanted is not None and wanted is not False:
        for start in _sinks.ON_ALERTS:
            start(wanted)


def _rate(
    name: str, given: float | str | None, configured: float | str
) -> float | None:
    """A rate, None for all."""
    rate = configured if given is None else given
    if rate == "all":
        return None
    if (
        not isinstance(rate, (int, float))
        or isinstance(rate, bool)
        or not 0 <= rate <= _MAX_RATE
    ):
        raise ConfigurationError(
            f'{name} is {rate!r}; it takes a number from 0 to 1,000,000, or "all"'
        )
    return float(rate)


def adopt(
    *,
    tracer_provider: Any = None,
    meter_provider: Any = None,
    logger_provider: Any = None,
    journeys_per_second: float | None = 50,
    rescues_per_second: float | None = 100,
) -> None:
    """Use providers that somebody else made.

    Args:
        tracer_provider: A provider, or None for the global one, set now or later.
        meter_provider: A provider, or None for the global one, set now or later.
        logger_provider: A provider, or None for the global one, set now or later.
        journeys_per_second: Head-sampled journeys; None for all.
        rescues_per_second: Journeys rescued for a failure; None for all.
    """
    PROVIDERS.tracer = tracer_provider or trace.get_tracer_provider()
    PROVIDERS.meter = meter_provider or metrics.get_meter_provider()
    PROVIDERS.logger = logger_provider or otel_logs.get_logger_provider()
    PROVIDERS.closed = False
    TRACER.configure(
        tracer_provider, journeys_per_second, rescuing=rescues_per_second != 0
    )
    from stagelight import _rescue  # loads the SDK

    _rescue.install(rescues_per_second)
    _metrics.attach(meter_provider)
    _metrics.install_seam(PROVIDERS.meter)
    _logs.EMITTER.provider = logger_provider


def configure_child() -> None:
    """Set up a spawned child of a program that exports."""
    if os.environ.get(CHILD) and not PROVIDERS.made:
        try:
            configure()
        except ConfigurationError as error:
            _guard.warn("stagelight exports nothing from this child: %s", error)
