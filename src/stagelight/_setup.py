"""``configure()`` and ``shutdown()``: the SDK, its exporters, and their end.

The only file that makes exporters. What the SDK reads from ``OTEL_*`` it reads itself,
through its own configurator; providers that are set already are adopted as they are.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from opentelemetry import _logs as otel_logs
from opentelemetry import metrics, trace

from stagelight import _export, _guard, _lifecycle, _logs, _metrics
from stagelight._errors import ConfigurationError
from stagelight._journey import end_turn
from stagelight._outcomes import EVENT_KEY
from stagelight._tracer import TRACER
from stagelight._workers import WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_SIGNALS: Final = ("TRACES", "METRICS", "LOGS")
_MAX_RATE: Final = 1_000_000
_PROTOCOLS: Final = ("http/protobuf", "grpc")
#: Numbers on which the SDK would fail when half of it is set up.
_POSITIVE: Final = (
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    *(f"OTEL_EXPORTER_OTLP_{signal}_TIMEOUT" for signal in _SIGNALS),
    *(
        f"OTEL_{kind}_{name}"
        for kind in ("BSP", "BLRP")
        for name in ("SCHEDULE_DELAY", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE")
    ),
)
#: Milliseconds: the SDK's minute looks like nothing works.
_METRIC_INTERVAL: Final = "10000"
#: Seconds that an exit may take to flush, and where the endpoint is known to be dead.
_PATIENCE: Final = 5.0
_NO_PATIENCE: Final = 0.5
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
            _export.TRACES: self.tracer,
            _export.METRICS: self.meter,
            _export.LOGS: self.logger,
        }


PROVIDERS: Final = _Providers()


def exporting_wanted() -> bool:
    """Whether the environment asks for telemetry to be exported."""
    names = [
        "OTEL_CONFIG_FILE",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        *(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT" for signal in _SIGNALS),
        *(f"OTEL_{signal}_EXPORTER" for signal in _SIGNALS),
    ]
    return any(os.environ.get(name, "").strip() for name in names)


def configure(  # noqa: PLR0913 - keyword only, all optional
    *,
    service_name: str | None = None,
    resource_attributes: Mapping[str, str] | None = None,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
    logger_provider: otel_logs.LoggerProvider | None = None,
    journeys_per_second: float | Literal["all"] | None = None,
    json_logs: bool | None = None,
    event_id: str | None = None,
) -> None:
    """Export everything over OTLP, as the ``OTEL_*`` environment says.

    Every variable that the SDK supports is followed, ``OTEL_CONFIG_FILE`` included.
    Where none names an exporter, OTLP is used, by http/protobuf (by grpc where the
    endpoint's port is 4317). Providers that are passed or set already are adopted
    instead. Flushes at exit, at SIGTERM and in forked children. Call it once, early.

    Args:
        service_name: ``service.name``, unless ``OTEL_SERVICE_NAME`` is set.
        resource_attributes: Further attributes of the resource.
        tracer_provider: A provider to use instead of the global one.
        meter_provider: A provider to use instead of the global one.
        logger_provider: A provider to use instead of the global one.
        journeys_per_second: Journeys sampled at their head, or ``"all"``; by default
            50. ``OTEL_TRACES_SAMPLER`` replaces it.
        json_logs: Whether event records are written as JSON lines to stderr as well,
            through the stdlib logger ``stagelight.events``.
        event_id: Attribute or key path of an event's identifier, such as ``meta.id``.

    Raises:
        ConfigurationError: A value is wrong: an endpoint, a protocol, an unknown key
            in the configuration file. Nothing was set up then.
    """
    from stagelight._config import load

    settings = load()
    rate: float | str = settings.journeys_per_second
    if journeys_per_second is not None:
        rate = journeys_per_second
    if rate != "all" and (
        not isinstance(rate, (int, float))
        or isinstance(rate, bool)
        or not 0 <= rate <= _MAX_RATE
    ):
        raise ConfigurationError(
            f"journeys_per_second is {rate!r}; it takes a number from 0 to 1,000,000, "
            'or "all"'
        )
    check_environment()
    _make_missing(
        service_name,
        dict(resource_attributes or {}),
        given=(tracer_provider, meter_provider, logger_provider),
    )
    path = event_id or settings.event_id
    EVENT_KEY[:] = path.split(".") if path else []
    if settings.json_logs if json_logs is None else json_logs:
        _logs.write_json_lines()
    adopt(
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        logger_provider=logger_provider,
        journeys_per_second=None if rate == "all" else float(rate),
    )
    _lifecycle.install(flush_now)


def adopt(
    *,
    tracer_provider: Any = None,
    meter_provider: Any = None,
    logger_provider: Any = None,
    journeys_per_second: float | None = 50,
) -> None:
    """Use providers that somebody else made.

    Args:
        tracer_provider: A provider, or None for the global one, set now or later.
        meter_provider: A provider, or None for the global one, set now or later.
        logger_provider: A provider, or None for the global one, set now or later.
        journeys_per_second: Head-sampled journeys; None for all.
    """
    PROVIDERS.tracer = tracer_provider or trace.get_tracer_provider()
    PROVIDERS.meter = meter_provider or metrics.get_meter_provider()
    PROVIDERS.logger = logger_provider or otel_logs.get_logger_provider()
    PROVIDERS.closed = False
    TRACER.configure(tracer_provider, journeys_per_second)
    _metrics.attach(meter_provider)
    _metrics.install_seam(PROVIDERS.meter)
    _logs.EMITTER.provider = logger_provider


def check_environment() -> None:
    """Refuse endpoints, protocols and numbers that could only fail later.

    Raises:
        ConfigurationError: It names the variable, its value and what it takes.
    """
    for infix in (*(f"{signal}_" for signal in _SIGNALS), ""):
        name = f"OTEL_EXPORTER_OTLP_{infix}PROTOCOL"
        value = os.environ.get(name, "").strip()
        if value and value not in _PROTOCOLS:
            raise ConfigurationError(
                f"{name} is {value!r}; it takes {' or '.join(_PROTOCOLS)}"
            )
        protocol = value or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip()
        name = f"OTEL_EXPORTER_OTLP_{infix}ENDPOINT"
        value = os.environ.get(name, "").strip()
        if value:
            _check_endpoint(name, value, protocol)
    for name in _POSITIVE:
        value = os.environ.get(name, "").strip()
        if value and not _is_positive(value):
            raise ConfigurationError(f"{name} is {value!r}; it takes a number above 0")


def _is_positive(value: str) -> bool:
    try:
        return float(value) > 0
    except ValueError:
        return False


def _check_endpoint(name: str, value: str, protocol: str) -> None:
    try:
        # gRPC takes a bare address as well.
        bare = protocol == "grpc" and "://" not in value
        parts = urlsplit(f"http://{value}" if bare else value)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.scheme not in {"http", "https"}:
        raise ConfigurationError(
            f"{name} is {value!r}, which is no URL of a collector; it takes one like "
            "http://127.0.0.1:4318 (http/protobuf) or http://127.0.0.1:4317 (grpc)"
        )


def _make_missing(
    service_name: str | None, attributes: dict[str, str], given: Sequence[object]
) -> None:
    """Let the SDK make the providers that nobody set or gave, from the environment."""
    if service_name:
        attributes.setdefault("service.name", service_name)
    for key in _environment_attributes():
        attributes.pop(key, None)  # what is decided outside goes before our arguments
    missing = {
        "TRACES": isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider),
        "METRICS": type(metrics.get_meter_provider()).__name__ == "_ProxyMeterProvider",
        "LOGS": isinstance(otel_logs.get_logger_provider(), _logs.PROXY),
    }
    for signal, provider in zip(_SIGNALS, given, strict=True):
        missing[signal] = missing[signal] and provider is None
    if not any(missing.values()):
        return
    with _environment(_defaults()):
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


def _environment_attributes() -> set[str]:
    """Resource attributes that the environment sets."""
    listed = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    keys = {pair.partition("=")[0].strip() for pair in listed}
    return keys | {"service.name"} if os.environ.get("OTEL_SERVICE_NAME") else keys


def _defaults() -> dict[str, str]:
    """What we choose where the environment says nothing."""
    values = {"OTEL_METRIC_EXPORT_INTERVAL": _METRIC_INTERVAL}
    for signal in _SIGNALS:
        values[f"OTEL_{signal}_EXPORTER"] = "otlp"
        own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
        endpoint = own or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or ""
        grpc = urlsplit(endpoint).port == 4317  # noqa: PLR2004 - the gRPC port
        if not os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL"):
            name = f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"
            values[name] = _PROTOCOLS[1] if grpc else _PROTOCOLS[0]
    return values


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables that are unset or empty, for the time of the SDK's look at them."""
    added = {key: value for key, value in values.items() if not os.environ.get(key)}
    before = {key: os.environ.get(key) for key in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


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
        raise ConfigurationError(
            f"the OpenTelemetry SDK cannot be set up from the environment: {error}"
        ) from error


def _make_some(missing: Mapping[str, bool], attributes: dict[str, str]) -> None:
    from opentelemetry.sdk import _configuration as sdk
    from opentelemetry.sdk.resources import Resource

    names = [
        sdk._get_exporter_names(signal.lower()) if missing[signal] else []  # type: ignore[arg-type]  # noqa: SLF001
        for signal in _SIGNALS
    ]
    try:
        spans, readers, records = sdk._import_exporters(*names)  # noqa: SLF001
    except Exception as error:
        raise ConfigurationError(
            f"the OpenTelemetry SDK cannot be set up from the environment: {error}"
        ) from error
    resource = Resource.create(attributes)
    if missing["TRACES"]:
        sdk._init_tracing(spans, resource=resource)  # noqa: SLF001
    if missing["METRICS"]:
        sdk._init_metrics(readers, resource=resource)  # noqa: SLF001
    if missing["LOGS"]:
        sdk._init_logging(records, resource=resource, setup_logging_handler=False)  # noqa: SLF001


def configure_child() -> None:
    """Set up a spawned child of a program that exports."""
    if os.environ.get(CHILD) and not PROVIDERS.made:
        try:
            configure()
        except ConfigurationError as error:
            _guard.LOG.warning("stagelight exports nothing from this child: %s", error)


def end_turns() -> None:
    """Close what each thread does with its last event: nothing more may come."""
    for worker in list(WORKERS):
        turn = worker.turn
        if turn is not None:
            end_turn(turn)


def force_flush(timeout: float = _PATIENCE) -> bool:
    """Send everything recorded so far; afterwards stats and export agree exactly.

    Args:
        timeout: Seconds it may take.

    Returns:
        Whether everything was handed over in time.
    """
    end_turns()
    late = _side_by_side("force_flush", timeout)
    return not late


def _side_by_side(action: str, timeout: float, *, give_up: bool = False) -> list[str]:
    """Flush or shut down all providers in threads of their own.

    Args:
        action: Name of the provider's method.
        timeout: Seconds it may take.
        give_up: Whether to wait only briefly for those in trouble.

    Returns:
        The signals that were not done in time.
    """
    done: dict[str, bool] = {}
    changed = threading.Event()
    started = time.monotonic()
    waiting = []
    for signal, provider in PROVIDERS.by_signal.items():
        method = getattr(provider, action, None)
        if method is None:
            continue

        def run(signal: str = signal, method: Callable[..., Any] = method) -> None:
            try:
                millis = (int(timeout * 1000),) if action == "force_flush" else ()
                done[signal] = method(*millis) is not False
            except Exception as error:  # noqa: BLE001 - a provider's trouble at the end
                done[signal] = False
                _guard.caught("flush", error)
            finally:
                changed.set()

        waiting.append(signal)
        _lifecycle.start(run)
    while True:
        changed.clear()
        waited = time.monotonic() - started
        open_ = [signal for signal in waiting if signal not in done]
        patience = max(
            (
                min(timeout, _NO_PATIENCE)
                if give_up and _export.struggling(signal)
                else timeout
                for signal in open_
            ),
            default=0,
        )
        if waited >= patience:
            return [signal for signal in waiting if not done.get(signal)]
        changed.wait(min(patience - waited, 0.1))


def flush_now(timeout: float | None = None) -> None:
    """Flush before the process ends, in bounded time.

    Args:
        timeout: Seconds, by default 5; half a second where nobody is listening.
    """
    if PROVIDERS.closed:
        return
    end_turns()
    late = _side_by_side("force_flush", timeout or _PATIENCE, give_up=True)
    if late and PROVIDERS.made:
        _export.close(late)
        # They would wait for the same endpoint again, for half a minute each.
        for provider in PROVIDERS.by_signal.values():
            for name in ("_atexit_handler", "_at_exit_handler"):
                handler = getattr(provider, name, None)
                if handler is not None:
                    atexit.unregister(handler)


def shutdown(timeout: float = _PATIENCE) -> None:
    """Flush everything, and close what ``configure`` made; safe to call twice.

    What is recorded later still shows in ``stats()``, and is not exported.

    Args:
        timeout: Seconds it may take.
    """
    if PROVIDERS.closed:
        return
    flush_now(timeout)
    PROVIDERS.closed = True
    if not PROVIDERS.made:
        return
    if not _export.CLOSING.is_set():
        _export.close(())
    _side_by_side("shutdown", timeout)
