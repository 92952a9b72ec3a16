from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import pytest

from harness import OtlpReceiver
from stagelight._doctor._advice import of_export, shortened
from stagelight._doctor._settings import Target
from stagelight._doctor._wire import GRPC, HTTP, PLAIN, TLS, UnreachableError, spoken


@contextmanager
def answering(text):
    """A server that answers everything with one text, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve():
            for _ in range(2):
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    connection.recv(4096)
                    connection.sendall(text)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        with socket.create_connection(server.getsockname()) as last:
            last.sendall(b"end")
        thread.join()


def test_real_servers_are_told_apart():
    """HTTP and gRPC are known by what they answer."""
    with OtlpReceiver() as receiver:
        http = int(receiver.http_endpoint.rpartition(":")[2])
        grpc = int(receiver.grpc_endpoint.rpartition(":")[2])
        assert spoken("127.0.0.1", http, encrypted=False) == {HTTP}
        assert spoken("127.0.0.1", grpc, encrypted=False) == {GRPC}
        assert spoken("127.0.0.1", http, encrypted=True) == {PLAIN}


def test_a_server_that_awaits_tls():
    """What Go's servers say to plain HTTP is understood."""
    said = b"HTTP/1.0 400 Bad Request\r\n\r\nan HTTP request to an HTTPS server"
    with answering(said) as port:
        assert spoken("127.0.0.1", port, encrypted=False) == {TLS}


def test_nobody_and_nowhere():
    """A closed port and an unknown name have their own words."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(UnreachableError, match="nobody listens there"):
            spoken("127.0.0.1", closed.getsockname()[1], encrypted=False)
    with pytest.raises(UnreachableError, match="cannot be resolved"):
        spoken("nowhere.invalid", 4318, encrypted=False)


def target(host="c", port=4318, protocol=HTTP):
    """A target of traces."""
    url = f"http://{host}:{port}"
    return Target("traces", "otlp", protocol, url, "OTEL_EXPORTER_OTLP_ENDPOINT")


@pytest.mark.parametrize(
    ("there", "reason", "advice"),
    [
        (frozenset({GRPC}), "", "grpc is spoken there: set OTEL_EXPORTER_OTLP_PROTOC"),
        (frozenset({TLS}), "", "write https:// in OTEL_EXPORTER_OTLP_ENDPOINT"),
        (frozenset({PLAIN}), "", "write http:// in OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("nobody listens there", "", "start a collector there"),
        (frozenset({HTTP}), "code: 401", "see OTEL_EXPORTER_OTLP_HEADERS"),
        (frozenset({HTTP}), "StatusCode.UNAUTHENTICATED", "the key is wrong or miss"),
        (
            frozenset({HTTP}),
            "404, reason: Not Found",
            "nothing takes OTLP at this path",
        ),
        (frozenset(), "[SSL: CERTIFICATE_VERIFY_FAILED]", "OTLP_CERTIFICATE"),
        (frozenset({HTTP}), "500", "see the log of what listens there"),
    ],
)
def test_what_to_change(monkeypatch, there, reason, advice):
    """Each trouble has its own advice."""
    monkeypatch.setattr("stagelight._doctor._settings.in_container", lambda: False)
    assert advice in of_export(target("127.0.0.1"), there, reason)


def test_localhost_in_a_container(monkeypatch):
    """In a container, nobody on localhost means something else."""
    monkeypatch.setattr("stagelight._doctor._settings.in_container", lambda: True)
    nobody = "nobody listens there"
    here = of_export(target("localhost"), nobody, "")
    assert "localhost is the container itself" in here
    assert "http://collector:4318" in here
    assert "container itself" not in of_export(target("elsewhere"), nobody, "")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (
            (
                "Transient error refused encountered while exporting span batch, "
                "retrying in 1.02s."
            ),
            "refused",
        ),
        ("Failed to export span batch code: 401, reason: No", "401, reason: No"),
        ("", "no answer in time"),
        ("anything else", "anything else"),
    ],
)
def test_reasons_lose_their_wrapping(reason, expected):
    """What the SDK puts around a reason is left out."""
    assert shortened(reason) == expected
