"""The gRPC health service (grpc.health.v1), fed from the same verdict."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight._errors import ConfigurationError
from stagelight.server._address import join_address

if TYPE_CHECKING:
    from stagelight.health._monitor import Monitor

#: Service name -> field of the verdict; the unnamed one is asked for by default.
_SERVICES: Final = {
    "": "ready",
    "liveness": "live",
    "readiness": "ready",
    "startup": "startup",
}
_PERIOD: Final = 1.0


class HealthService:
    """A running gRPC server.

    Attributes:
        port: The port that it listens on.
    """

    def __init__(self, monitor: Monitor, server: Any, servicer: Any, port: int) -> None:
        self.port = port
        self._monitor, self._server, self._servicer = monitor, server, servicer
        self._end = Event()
        self.update()
        self._thread = Thread(target=self._run, name="stagelight-grpc", daemon=True)
        self._thread.start()

    def update(self) -> None:
        """Tell the verdict of now to those who ask and those who watch."""
        from grpc_health.v1 import health_pb2

        report = self._monitor.report()
        word = health_pb2.HealthCheckResponse
        for service, field in _SERVICES.items():
            fails = getattr(report, field) == "fail"
            self._servicer.set(service, word.NOT_SERVING if fails else word.SERVING)

    def close(self) -> None:
        """Serve no more."""
        self._end.set()
        self._thread.join(2)
        self._server.stop(0).wait(2)

    def _run(self) -> None:
        while not self._end.wait(_PERIOD):
            try:
                self.update()
            except Exception as error:  # noqa: BLE001, PERF203 - the next one may succeed
                _guard.caught("grpc", error)


def start_service(monitor: Monitor, host: str, port: int) -> HealthService:
    """Start the service.

    Args:
        monitor: Whose verdict it tells.
        host: Where it listens.
        port: On which port; 0 takes a free one.

    Raises:
        ConfigurationError: The extra is not installed, or the address cannot be had.
    """
    try:
        import grpc
        from grpc_health.v1 import health, health_pb2_grpc
    except ImportError:
        raise ConfigurationError(
            "grpc=: the gRPC health service needs more; pip install 'stagelight[grpc]'"
        ) from None
    server = grpc.server(
        ThreadPoolExecutor(4, "stagelight-grpc"),
        options=(("grpc.so_reuseport", 0),),
        maximum_concurrent_rpcs=32,
    )
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    try:
        chosen = server.add_insecure_port(join_address(host, port))
    except RuntimeError as error:
        chosen, problem = 0, str(error)
    else:
        problem = "the address cannot be had"
    if not chosen:
        raise ConfigurationError(
            f"grpc=: cannot listen on {join_address(host, port)}: {problem}"
        )
    server.start()
    return HealthService(monitor, server, servicer, chosen)
