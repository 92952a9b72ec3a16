"""What the ``OTEL_*`` environment asks for, checked before the SDK reads it."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stagelight._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SIGNALS: Final = ("TRACES", "METRICS", "LOGS")
_PROTOCOLS: Final = ("http/protobuf", "grpc")
#: Numbers on which the SDK would fail when half of it is set up.
_POSITIVE: Final = (
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    *(f"OTEL_EXPORTER_OTLP_{signal}_TIMEOUT" for signal in SIGNALS),
    *(
        f"OTEL_{kind}_{name}"
        for kind in ("BSP", "BLRP")
        for name in ("SCHEDULE_DELAY", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE")
    ),
)
_GAP: Final = re.compile(r"\s")
#: Milliseconds: the SDK's minute looks like nothing works.
_METRIC_INTERVAL: Final = "10000"


def exporting_wanted() -> bool:
    """Whether the environment asks for telemetry to be exported."""
    names = [
        "OTEL_CONFIG_FILE",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        *(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT" for signal in SIGNALS),
        *(f"OTEL_{signal}_EXPORTER" for signal in SIGNALS),
    ]
    return any(os.environ.get(name, "").strip() for name in names)


def check_environment() -> None:
    """Refuse endpoints, protocols and numbers that could only fail later.

    Raises:
        ConfigurationError: It names the variable, its value and what it takes.
    """
    for infix in (*(f"{signal}_" for signal in SIGNALS), ""):
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
        usable = bool(parts.hostname) and parts.port != 0 and not _GAP.search(value)
    except ValueError:
        usable = False
    if not usable or parts.scheme not in {"http", "https"}:
        from stagelight._secrets import redact

        raise ConfigurationError(
            f"{name} is {redact(value)!r}, which is no URL of a collector; it takes "
            "one like http://127.0.0.1:4318 (http/protobuf) or http://127.0.0.1:4317 "
            "(grpc)"
        )


def resource_keys() -> set[str]:
    """Resource attributes that the environment sets."""
    listed = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    keys = {pair.partition("=")[0].strip() for pair in listed}
    return keys | {"service.name"} if os.environ.get("OTEL_SERVICE_NAME") else keys


def defaults() -> dict[str, str]:
    """What we choose where the environment says nothing."""
    values = {"OTEL_METRIC_EXPORT_INTERVAL": _METRIC_INTERVAL}
    for signal in SIGNALS:
        values[f"OTEL_{signal}_EXPORTER"] = "otlp"
        own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
        endpoint = own or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or ""
        grpc = urlsplit(endpoint).port == 4317  # noqa: PLR2004 - the gRPC port
        if not os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL"):
            name = f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"
            values[name] = _PROTOCOLS[1] if grpc else _PROTOCOLS[0]
    return values


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
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
