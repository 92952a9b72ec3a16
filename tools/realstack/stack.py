"""The stack: four servers with the repository's own configuration files."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .build import build, find
from .ports import Ports
from .server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

ROOT: Final = Path(__file__).parent.parent.parent
OPS: Final = ROOT / "ops"


class Stack:
    """Collector, Jaeger, Prometheus and Alertmanager; `with` starts and stops all.

    Args:
        folder: Where data and logs go.
        ports: Where to listen; free ports unless given.
        env: Further variables for the collector, such as ``LOGS_EXPORTERS``.
        scrape: How often Prometheus looks and judges, in place of its 15 s.

    Raises:
        Unavailable: A program can neither be found nor built here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ports: Ports | None = None,
        env: Mapping[str, str] | None = None,
        scrape: str = "15s",
    ) -> None:
        self.folder = folder
        self.ports = ports or Ports.free()
        self.collector = collector(folder, self.ports, env)
        self.jaeger = jaeger(folder, self.ports)
        self.prometheus = prometheus(folder, self.ports, scrape)
        self.alertmanager = alertmanager(folder, self.ports)
        self._stack = ExitStack()

    @property
    def servers(self) -> tuple[Server, ...]:
        """All four, in the order in which they start."""
        return self.jaeger, self.alertmanager, self.collector, self.prometheus

    @property
    def otlp_url(self) -> str:
        """Where to send by http/protobuf."""
        return f"http://127.0.0.1:{self.ports.otlp_http}"

    @property
    def grpc_url(self) -> str:
        """Where to send by grpc."""
        return f"http://127.0.0.1:{self.ports.otlp_grpc}"

    @property
    def jaeger_url(self) -> str:
        """Jaeger's page and API."""
        return f"http://127.0.0.1:{self.ports.jaeger_http}"

    @property
    def prometheus_url(self) -> str:
        """Prometheus's page and API."""
        return f"http://127.0.0.1:{self.ports.prometheus}"

    @property
    def alertmanager_url(self) -> str:
        """Alertmanager's page and API."""
        return f"http://127.0.0.1:{self.ports.alertmanager}"

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                self._stack.callback(server.stop)
                server.start()
            for server in self.servers:
                server.wait_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The last that started is the first to stop: the collector finds Jaeger there.
        self._stack.close()


def collector(
    folder: Path,
    ports: Ports,
    env: Mapping[str, str] | None = None,
    config: Path = ROOT / "collector-config.yaml",
) -> Server:
    """Prepare a collector with the repository's configuration.

    Args:
        folder: Where its queue and log go.
        ports: Where it listens, and where Jaeger does.
        env: Further variables, which win.
        config: Its configuration file.
    """
    return Server(
        "collector",
        [str(build("otelcol")), "--config", str(config)],
        ready=f"http://127.0.0.1:{ports.collector_health}/",
        folder=folder,
        env={
            "OTLP_GRPC_PORT": str(ports.otlp_grpc),
            "OTLP_HTTP_PORT": str(ports.otlp_http),
            "HEALTH_PORT": str(ports.collector_health),
            "METRICS_PORT": str(ports.collector_metrics),
            "SELF_METRICS_PORT": str(ports.collector_self),
            "JAEGER_OTLP_ENDPOINT": f"127.0.0.1:{ports.jaeger_otlp}",
            "OTELCOL_STORAGE": str(folder / "queue"),
            **(env or {}),
        },
    )


def jaeger(folder: Path, ports: Ports) -> Server:
    """Prepare a Jaeger that keeps its spans below the folder."""
    return Server(
        "jaeger",
        [str(build("jaeger")), "--config", str(OPS / "jaeger.yaml")],
        ready=f"http://127.0.0.1:{ports.jaeger_health}/status",
        folder=folder,
        env={
            "JAEGER_OTLP_PORT": str(ports.jaeger_otlp),
            "JAEGER_HTTP_PORT": str(ports.jaeger_http),
            "JAEGER_GRPC_PORT": str(ports.jaeger_grpc),
            "JAEGER_HEALTH_PORT": str(ports.jaeger_health),
            "JAEGER_STORAGE": str(folder / "jaeger"),
            "PROMETHEUS_URL": f"http://127.0.0.1:{ports.prometheus}",
            "OTEL_TRACES_SAMPLER": "always_off",  # of its own work
        },
    )


def prometheus(folder: Path, ports: Ports, scrape: str = "15s") -> Server:
    """Prepare a Prometheus with the repository's configuration and rules."""
    config = prometheus_config(folder, ports, scrape)
    return Server(
        "prometheus",
        [
            str(find("prometheus")),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{ports.prometheus}",
            "--enable-feature=exemplar-storage",
        ],
        ready=f"http://127.0.0.1:{ports.prometheus}/-/ready",
        folder=folder,
    )


def prometheus_config(folder: Path, ports: Ports, scrape: str = "15s") -> Path:
    """Write ops/prometheus.yml with this machine's addresses, and link its rules."""
    text = (OPS / "prometheus.yml").read_text()
    addresses = {
        '"collector:8889"': f'"127.0.0.1:{ports.collector_metrics}"',
        '"collector:8888"': f'"127.0.0.1:{ports.collector_self}"',
        '"alertmanager:9093"': f'"127.0.0.1:{ports.alertmanager}"',
        "_interval: 15s": f"_interval: {scrape}",
    }
    for name, address in addresses.items():
        if name not in text:
            raise ValueError(f"ops/prometheus.yml does not say {name}")
        text = text.replace(name, address)
    config = folder / "prometheus.yml"
    config.write_text(text)
    rules = folder / "rules"
    shutil.rmtree(rules, ignore_errors=True)
    shutil.copytree(OPS / "rules", rules)
    return config


def alertmanager(folder: Path, ports: Ports) -> Server:
    """Prepare an Alertmanager with the repository's configuration."""
    return Server(
        "alertmanager",
        [
            str(find("alertmanager")),
            f"--config.file={OPS / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{ports.alertmanager}",
            "--cluster.listen-address=",
        ],
        ready=f"http://127.0.0.1:{ports.alertmanager}/-/ready",
        folder=folder,
    )
