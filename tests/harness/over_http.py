"""The HTTP half of the receiver: OTLP/HTTP with binary protobuf bodies."""

from __future__ import annotations

import gzip
import math
import socket
import threading
import zlib
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from sys import exc_info
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

from .data import ReceivedRequest
from .intake import CODECS, OK

if TYPE_CHECKING:
    from collections.abc import Callable

    from .data import Signal
    from .intake import Intake

_PROTOBUF = "application/x-protobuf"
_ROUTES: dict[str, Signal] = {
    "/v1/traces": "traces",
    "/v1/metrics": "metrics",
    "/v1/logs": "logs",
}
_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


class HttpServer(ThreadingHTTPServer):
    """A running HTTP server; `close` leaves no thread and no socket behind."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, intake: Intake, port: int) -> None:
        """Listen on the loopback port and serve at once."""
        self.intake = intake
        self._lock = threading.Lock()
        self._connections: set[Any] = set()
        self._closing = False
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self._serve, name="otlp-http")
        self._thread.start()

    def close(self) -> None:
        """Stop listening, cut open connections and wait for every thread."""
        with self._lock:
            self._closing = True
        # The accept loop sleeps until somebody connects, so connect.
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.server_port)).close()
        self._thread.join()
        self.socket.close()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def _serve(self) -> None:
        while not self._closing:
            self.handle_request()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Turn away who connects while closing; remember the others."""
        del client_address
        with self._lock:
            if not self._closing:
                self._connections.add(request)
            return not self._closing

    def close_request(self, request: Any) -> None:
        """Forget a connection, then close it."""
        with self._lock:
            self._connections.discard(request)
        super().close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep what went wrong for the test; a client that hung up is no error."""
        del request, client_address
        error = exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError):
            self.intake.errors.append(error)


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests; connections stay open as collectors' do."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: HttpServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        signal = _ROUTES.get(self.path)
        if signal is None:
            return self._fail(HTTPStatus.NOT_FOUND, f"no such path: {self.path}")
        content_type = self.headers.get_content_type()
        if content_type != _PROTOBUF:
            text = f"expected {_PROTOBUF}, not {content_type}"
            return self._fail(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text)
        encoding = self.headers.get("Content-Encoding", "identity").lower()
        if encoding not in _DECODERS:
            text = f"unknown content encoding: {encoding}"
            return self._fail(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text)
        try:
            message = CODECS[signal].request.FromString(_DECODERS[encoding](body))
        except (DecodeError, zlib.error, OSError, EOFError) as error:
            return self._fail(HTTPStatus.BAD_REQUEST, str(error))
        return self._receive(signal, message)

    def do_GET(self) -> None:
        known = self.path in _ROUTES
        status = HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND
        self._fail(status, "send telemetry with POST")

    def log_message(self, *args: object) -> None:
        """Write nothing: a test reads requests from the receiver."""

    def _receive(self, signal: Signal, message: Any) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        received = ReceivedRequest(signal, "http/protobuf", headers)
        answer = self.server.intake.receive(received, message)
        if answer.status == OK:
            response = CODECS[signal].response()
            return self._send(OK, response.SerializeToString(), {})
        hint = {}
        if answer.retry_after is not None:
            hint["Retry-After"] = str(math.ceil(answer.retry_after))
        return self._fail(answer.status, f"switched to {answer.status}", hint)

    def _fail(
        self, status: int, text: str, headers: dict[str, str] | None = None
    ) -> None:
        """Answer an error with the status message that OTLP/HTTP asks for."""
        self._send(status, Status(message=text).SerializeToString(), headers or {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", _PROTOBUF)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)
