"""What listens at an address: found out by asking, not by the number of its port."""

from __future__ import annotations

import socket
import ssl
from typing import Final

HTTP: Final = "http/protobuf"
GRPC: Final = "grpc"
TLS: Final = "TLS"
PLAIN: Final = "no TLS"

_PATIENCE: Final = 3.0
#: The HTTP/2 preface and an empty SETTINGS frame: what a gRPC client begins with.
_HTTP2: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS: Final = 4
_HEAD: Final = 9
_HTTP1: Final = (
    "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-protobuf\r\n"
    "Content-Length: 0\r\nConnection: close\r\n\r\n"
)
#: What a server that awaits TLS answers to anything else, if it answers.
_TLS_WANTED: Final = b"HTTPS"
_TLS_ALERT: Final = b"\x15\x03"
#: Bytes that tell everything.
_ENOUGH: Final = 256


class UnreachableError(Exception):
    """Nobody listens there, or the name means nothing."""


def spoken(
    host: str, port: int, *, encrypted: bool, path: str = "/v1/traces"
) -> frozenset[str]:
    """What is spoken at an address; nothing secret is sent there.

    Args:
        host: Name or address.
        port: Its port.
        encrypted: Whether TLS is expected.
        path: Where OTLP over HTTP would be taken.

    Returns:
        ``http/protobuf`` and ``grpc``, what is taken of them; ``TLS`` alone where it
        is awaited and was not expected; ``no TLS`` alone where it was; nothing where
        it cannot be told, as behind TLS, where most servers speak HTTP/2 anyway.

    Raises:
        UnreachableError: No connection can be had.
    """
    if encrypted:
        return _handshake(host, port)
    request = _HTTP1.format(path=path, host=host).encode()
    answers = [_ask(host, port, text) for text in (_HTTP2, request)]
    if any(_TLS_WANTED in text or text.startswith(_TLS_ALERT) for text in answers):
        return frozenset({TLS})
    found = set()
    if _is_settings(answers[0]):
        found.add(GRPC)
    if answers[1].startswith(b"HTTP/1"):
        found.add(HTTP)
    return frozenset(found)


def _is_settings(answer: bytes) -> bool:
    return len(answer) >= _HEAD and answer[3] == _SETTINGS


def _handshake(host: str, port: int) -> frozenset[str]:
    # Whether the certificate is good shows when the exporter sends the probe.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with _connect(host, port) as connection:
        try:
            with context.wrap_socket(connection, server_hostname=host):
                return frozenset()
        except ssl.SSLError:
            return frozenset({PLAIN})
        except OSError:
            return frozenset()


def _ask(host: str, port: int, request: bytes) -> bytes:
    """The first bytes of an answer, b"" where the connection was just closed."""
    answer = b""
    with _connect(host, port) as connection:
        try:
            connection.sendall(request)
            while not _is_settings(answer) and len(answer) < _ENOUGH:
                more = connection.recv(4096)
                if not more:
                    break
                answer += more
        except OSError:
            pass  # what came before is the answer
    return answer


def _connect(host: str, port: int) -> socket.socket:
    try:
        return socket.create_connection((host, port), timeout=_PATIENCE)
    except socket.gaierror:
        raise UnreachableError("the name cannot be resolved") from None
    except TimeoutError:
        raise UnreachableError("no answer") from None
    except ConnectionRefusedError:
        raise UnreachableError("nobody listens there") from None
    except OSError as error:
        raise UnreachableError(error.strerror or str(error)) from None
