"""Where the servers listen on loopback."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

# Below every usual range of ephemeral ports: a port out of that range may be given
# to any outgoing connection between the choice and the start of its server.
_RANGE: Final = range(20000, 32000)


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
        """Choose ports on which nobody listens now, each given out once."""
        return cls(**{field.name: free_port() for field in fields(cls)})

    def taken(self) -> list[int]:
        """Return those on which somebody else listens."""
        return [
            number
            for field in fields(self)
            if not _is_free(number := getattr(self, field.name))
        ]


def free_port() -> int:
    """Choose a port on which nobody listens and which no other test is given."""
    while True:
        port = random.choice(_RANGE)  # noqa: S311 - not a secret
        if _is_free(port) and _reserve(port):
            return port


def _reserve(port: int) -> bool:
    folder = Path(tempfile.gettempdir()) / "stagelight-ports"
    folder.mkdir(exist_ok=True)
    mark = os.open(folder / str(port), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(mark)
        return False
    return True  # held open, and so locked, until this process ends


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
