"""Where the servers listen on loopback."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Ports:
    """One port for each listener; the defaults are the usual ones."""

    otlp_grpc: int = 4317
    otlp_http: int = 4318
    collector_health: int = 13133
    collector_metrics: int = 8889
    collector_self: int = 8888
    jaeger_otlp: int = 14317
    jaeger_http: int = 16686
    jaeger_grpc: int = 16685
    jaeger_health: int = 14133
    prometheus: int = 9090
    alertmanager: int = 9093

    @classmethod
    def free(cls) -> Ports:
        """Choose ports on which nobody listens now."""
        # All are held until all are known, so that none is given out twice.
        with ExitStack() as held:
            return cls(**{field.name: _free(held) for field in fields(cls)})

    def taken(self) -> list[int]:
        """Return those on which somebody else listens."""
        return [
            number
            for field in fields(self)
            if not _is_free(number := getattr(self, field.name))
        ]


def _free(held: ExitStack) -> int:
    holder = held.enter_context(socket.socket())
    holder.bind(("127.0.0.1", 0))
    port: int = holder.getsockname()[1]
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
