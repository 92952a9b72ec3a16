"""A vendor's OTLP intake as its documentation describes it: it refuses violations."""

from __future__ import annotations

import gzip
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from .data import ReceivedRequest
from .intake import CODECS, OK, Answer, Intake

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .data import PointKind, Signal, Temporality

_BAD_REQUEST = 400
_UNAUTHORIZED = 401
_NOT_FOUND = 404
_TOO_LARGE = 413
_UNSUPPORTED = 415


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What one vendor documents of its intake.

    Attributes:
        paths: Host and path of each signal, without the scheme.
        headers: For each signal, headers and a pattern for the whole value.
        protocol: The only protocol that it takes.
        temporality: That of monotonic sums and histograms, where it matters.
        histogram: The kind of histograms, where it matters.
        only_histograms: Whether the temporality matters for histograms only.
        encodings: Content encodings that it takes.
        most_bytes: Most bytes of a request, uncompressed.
        longest_attribute: Most characters of an attribute.
        resource: Resource attributes that must be there.
        metric_name: Pattern of metric names.
    """

    paths: dict[Signal, str]
    headers: dict[Signal, dict[str, str]]
    protocol: str = "http/protobuf"
    temporality: Temporality | None = None
    histogram: PointKind | None = None
    only_histograms: bool = False
    encodings: frozenset[str] = frozenset({"identity", "gzip"})
    most_bytes: int = 4_000_000
    longest_attribute: int = 32_000
    resource: dict[str, str] = field(default_factory=dict)
    metric_name: str = r"[A-Za-z][\w.:/-]*"

    def broken_headers(self, signal: Signal, headers: dict[str, str]) -> str:
        """Say which header is missing or wrong."""
        for name, pattern in self.headers[signal].items():
            if not re.fullmatch(pattern, headers.get(name, "")):
                return f"{signal}: header {name} is missing or wrong"
        return ""

    def broken_items(self, signal: Signal, items: list[Any]) -> str:
        """Say what is wrong with decoded spans, points or log records."""
        for item in items:
            for key, value in self.resource.items():
                if item.resource.get(key) != value:
                    return f"{signal}: resource attribute {key} is missing"
            for key, value in item.attributes.items():
                if isinstance(value, str) and len(value) > self.longest_attribute:
                    return f"{signal}: attribute {key} is too long"
            if signal == "metrics":
                broken = self._broken_point(item)
                if broken:
                    return f"metrics: {item.metric} {broken}"
        return ""

    def _broken_point(self, point: Any) -> str:
        if not re.fullmatch(self.metric_name, point.metric):
            return "is no name that is taken"
        histogram = "histogram" in point.kind
        if histogram and self.histogram not in {None, point.kind}:
            return f"is a {point.kind}"
        matters = histogram or (point.monotonic and not self.only_histograms)
        if matters and self.temporality not in {None, point.temporality}:
            return f"is {point.temporality}"
        return ""


class RuledIntake(Intake):
    """Stores what keeps the rules, and answers an error to everything else."""

    def __init__(self, rules: Rules) -> None:
        """Start empty."""
        super().__init__()
        self.rules = rules
        self.violations: list[str] = []

    def receive(self, request: ReceivedRequest, message: Any) -> Answer:
        """Check a request; store its data if nothing is wrong with it."""
        rules = self.rules
        if request.protocol != rules.protocol:
            return self.refuse(_UNSUPPORTED, f"{request.protocol} is not taken")
        broken = rules.broken_headers(request.signal, request.headers)
        if broken:
            return self.refuse(_UNAUTHORIZED, broken)
        items = CODECS[request.signal].decode(message)
        broken = rules.broken_items(request.signal, items)
        if broken:
            return self.refuse(_BAD_REQUEST, broken)
        return super().receive(request, message)

    def refuse(self, status: int, why: str) -> Answer:
        """Note a violation."""
        with self.changed:
            self.violations.append(why)
        return Answer(status)


class VendorServer:
    """Serves one vendor's intake over HTTP on a loopback port, inside `with`.

    A URL `https://HOST/PATH` is led here as `http://127.0.0.1:PORT/HOST/PATH`, so that
    the host is checked as well.
    """

    def __init__(self, rules: Rules) -> None:
        """Create it; `with` opens it."""
        self.intake = RuledIntake(rules)

    def __enter__(self) -> Self:
        """Listen."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.intake = self.intake  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop listening, and wait for every thread."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if error is None and self.intake.errors:
            raise self.intake.errors[0]

    def lead(self, url: str) -> str:
        """Return the address here that stands for a vendor's."""
        host = re.sub(r"^https://", "", url)
        assert host != url, f"{url} is not encrypted"
        return f"http://127.0.0.1:{self._server.server_port}/{host}"

    @property
    def accepted(self) -> Counter[Signal]:
        """Requests whose data was stored, by signal."""
        counts: Counter[Signal] = Counter()
        for (signal, _), number in self.intake.accepted.items():
            counts[signal] += number
        return counts

    @property
    def violations(self) -> list[str]:
        """Everything that was refused, and why."""
        return list(self.intake.violations)


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.0"  # a connection for each: closing waits for nobody

    def do_POST(self) -> None:
        intake: RuledIntake = self.server.intake  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        rules = intake.rules
        signals = {f"/{path}": signal for signal, path in rules.paths.items()}
        encoding = self.headers.get("Content-Encoding", "identity")
        signal = signals.get(self.path)
        if signal is None:
            answer = intake.refuse(_NOT_FOUND, f"no such path: {self.path}")
        elif self.headers.get_content_type() != "application/x-protobuf":
            answer = intake.refuse(_UNSUPPORTED, f"{signal}: not protobuf")
        elif encoding not in rules.encodings:
            answer = intake.refuse(_UNSUPPORTED, f"{signal}: encoding {encoding}")
        else:
            data = gzip.decompress(body) if encoding == "gzip" else body
            if len(data) > rules.most_bytes:
                answer = intake.refuse(_TOO_LARGE, f"{signal}: {len(data)} bytes")
            else:
                headers = {key.lower(): value for key, value in self.headers.items()}
                answer = intake.receive(
                    ReceivedRequest(signal, "http/protobuf", headers),
                    CODECS[signal].request.FromString(data),
                )
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/x-protobuf")
        # Some intakes repeat the request in their error: ours does it always.
        said = b"" if answer.status == OK else str(self.headers).encode()
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args: object) -> None:
        """Write nothing."""
