"""Where the environment sends each signal, and what in it cannot be meant."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stagelight._doctor._findings import FAILED, OK, SKIPPED, WARNING
from stagelight._environment import SIGNALS, defaults
from stagelight._secrets import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stagelight._doctor._findings import Report

GRPC: Final = "grpc"
HTTP: Final = "http/protobuf"
PORTS: Final = {4317: GRPC, 4318: HTTP}
_OTLP: Final = "OTEL_EXPORTER_OTLP_"
_HOP: Final = "settings"
_LOCAL: Final = {"localhost", "127.0.0.1", "::1"}
_DEFAULT: Final = {GRPC: "http://localhost:4317", HTTP: "http://localhost:4318"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where one signal goes.

    Attributes:
        signal: ``traces``, ``metrics`` or ``logs``.
        exporter: Such as ``otlp``, ``none`` or ``console``.
        protocol: ``grpc`` or ``http/protobuf``.
        endpoint: The whole URL.
        variable: The variable that sets it, "" for the SDK's default.
    """

    signal: str
    exporter: str
    protocol: str
    endpoint: str
    variable: str

    @property
    def host(self) -> str:
        """Name or address of the host."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def port(self) -> int:
        """The port, that of the scheme where none is named."""
        parts = urlsplit(self.endpoint)
        return parts.port or (443 if self.encrypted else 80)

    @property
    def encrypted(self) -> bool:
        """Whether over TLS."""
        return self.endpoint.startswith("https:")

    @property
    def local(self) -> bool:
        """Whether on this very host."""
        return self.host in _LOCAL


def targets(environment: Mapping[str, str]) -> list[Target]:
    """Where each signal goes, as the SDK will read it.

    Args:
        environment: The variables.
    """
    found = []
    chosen = defaults()
    for signal in SIGNALS:

        def value(name: str, signal: str = signal) -> str:
            own = environment.get(f"{_OTLP}{signal}_{name}", "").strip()
            return own or environment.get(f"{_OTLP}{name}", "").strip()

        exporter = environment.get(f"OTEL_{signal}_EXPORTER", "").strip() or "otlp"
        protocol = value("PROTOCOL") or chosen.get(f"{_OTLP}{signal}_PROTOCOL", HTTP)
        if exporter.startswith("otlp_proto_"):
            protocol = GRPC if exporter.endswith(GRPC) else HTTP
        own = environment.get(f"{_OTLP}{signal}_ENDPOINT", "").strip()
        base = environment.get(f"{_OTLP}ENDPOINT", "").strip()
        endpoint = own or base or _DEFAULT[protocol]
        if "://" not in endpoint:
            insecure = value("INSECURE").lower() == "true"
            endpoint = f"{'http' if insecure else 'https'}://{endpoint}"
        if protocol == HTTP and not own:
            endpoint = f"{endpoint.rstrip('/')}/v1/{signal.lower()}"
        variable = f"{_OTLP}{signal}_ENDPOINT" if own else f"{_OTLP}ENDPOINT"
        found.append(
            Target(
                signal.lower(),
                exporter,
                protocol,
                endpoint,
                variable if own or base else "",
            )
        )
    return found


def delta_wanted(environment: Mapping[str, str]) -> bool:
    """Whether metrics are sent as differences.

    Args:
        environment: The variables.
    """
    name = f"{_OTLP}METRICS_TEMPORALITY_PREFERENCE"
    return environment.get(name, "").strip().lower() in {"delta", "lowmemory"}


def in_container() -> bool:
    """Whether this process runs in a container, as far as one can see."""
    if os.environ.get("KUBERNETES_SERVICE_HOST") or os.environ.get("container"):  # noqa: SIM112 - its name
        return True
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return True
    try:
        groups = Path("/proc/1/cgroup").read_text(encoding="utf-8")
    except OSError:
        return False
    return any(word in groups for word in ("docker", "kubepods", "containerd"))


def check(report: Report, environment: Mapping[str, str]) -> None:
    """Say where everything goes, and what in the settings cannot be meant.

    Args:
        report: Takes the findings.
        environment: The variables.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        report.add(
            _HOP,
            FAILED,
            "OTEL_SDK_DISABLED is true: nothing is exported at all",
            "unset OTEL_SDK_DISABLED",
        )
    if environment.get("OTEL_CONFIG_FILE", "").strip():
        report.add(
            _HOP,
            WARNING,
            "OTEL_CONFIG_FILE decides everything; all other OTEL_* variables, and what "
            "is said of them here, count for nothing",
        )
        return
    going: dict[tuple[str, str], list[str]] = {}
    for target in targets(environment):
        if target.exporter == "none":
            report.add(
                _HOP,
                SKIPPED,
                f"{target.signal} are switched off by OTEL_{target.signal.upper()}"
                "_EXPORTER=none",
            )
            continue
        if not target.exporter.startswith("otlp"):
            report.add(
                _HOP,
                WARNING,
                f"{target.signal} go to exporter {target.exporter!r}, not over OTLP",
                f"set OTEL_{target.signal.upper()}_EXPORTER=otlp",
            )
            continue
        place = target.endpoint.removesuffix(f"/v1/{target.signal}")
        going.setdefault((place, target.protocol), []).append(target.signal)
        for text, change in _doubts(target):
            report.add(_HOP, WARNING, text, change)
    for (place, protocol), signals in going.items():
        report.add(_HOP, OK, f"{', '.join(signals)} to {place} by {protocol}")
    sampler = environment.get("OTEL_TRACES_SAMPLER", "").strip()
    if sampler.endswith("always_off"):
        report.add(
            _HOP,
            WARNING,
            f"OTEL_TRACES_SAMPLER is {sampler}: no program sends a trace",
            "unset OTEL_TRACES_SAMPLER",
        )


def _doubts(target: Target) -> Iterator[tuple[str, str]]:
    """What looks wrong in one target, and what to change."""
    path = urlsplit(target.endpoint).path
    shown = redact(target.endpoint)
    own = target.variable.endswith(f"{target.signal.upper()}_ENDPOINT")
    if target.protocol == HTTP and own and not path.endswith(f"/v1/{target.signal}"):
        text = f"{target.variable} is used as it is, and {shown} has no such path"
        yield text, f"append /v1/{target.signal} to it"
    if target.protocol == HTTP and not own and path.count("/v1/") > 1:
        text = f"{target.variable} has a signal's path, and gets another: {shown}"
        yield text, f"end {target.variable} before /v1/"
    other = PORTS.get(target.port)
    if other and other != target.protocol:
        text = f"{target.signal} by {target.protocol} to {target.port}, port of {other}"
        yield text, wrong_protocol(target, other)


def wrong_protocol(target: Target, spoken: str) -> str:
    """What to change where the other protocol is spoken.

    Args:
        target: Where the signal goes.
        spoken: What is spoken there.
    """
    port = next(port for port, one in PORTS.items() if one == target.protocol)
    return (
        f"set OTEL_EXPORTER_OTLP_PROTOCOL={spoken}, or the port {port} in "
        f"{target.variable or 'OTEL_EXPORTER_OTLP_ENDPOINT'}"
    )
