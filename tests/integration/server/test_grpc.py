from __future__ import annotations

import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

import stagelight


def test_the_grpc_health_service_tells_the_verdict(pipeline) -> None:
    """Services are named by their probe; a draining process does not serve."""
    word = health_pb2.HealthCheckResponse
    with stagelight.serve("127.0.0.1:0", grpc="127.0.0.1:0") as server:
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)

            def check(service):
                request = health_pb2.HealthCheckRequest(service=service)
                return stub.Check(request, timeout=60).status

            for service in ("", "liveness", "readiness", "startup"):
                assert check(service) == word.SERVING
            stagelight.health.drain()
            deadline = time.monotonic() + 60
            while check("readiness") == word.SERVING and time.monotonic() < deadline:
                time.sleep(0.05)
            assert check("readiness") == word.NOT_SERVING
            assert check("") == word.NOT_SERVING
            assert check("liveness") == word.SERVING
