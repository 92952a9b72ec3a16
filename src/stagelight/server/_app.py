"""The ASGI application: probes for everybody, the rest for those who are let in."""

from __future__ import annotations

from functools import lru_cache, partial
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from stagelight import _failures
from stagelight._errors import ConfigurationError
from stagelight.server import _probes, _tap
from stagelight.server._access import COOKIE
from stagelight.server._document import encode
from stagelight.server._stream import Stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from starlette.requests import Request

    from stagelight._redaction import Redactor
    from stagelight.health._monitor import Monitor
    from stagelight.server._access import Access
    from stagelight.server._local import Source
    from stagelight.server._tap import Tap

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFE: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
#: Groups of failed events that a page gets.
_GROUPS: Final = 200
_METHODS: Final = ("GET", "HEAD")


class Application:
    """What is served, as an ASGI application.

    Args:
        monitor: Whose verdict the probes tell.
        access: What is asked of those who want more.
        source: Where the numbers come from.
        redactor: Takes out of events what is not to leave.
        tap: Whether events may be looked at.
    """

    def __init__(
        self,
        monitor: Monitor,
        access: Access,
        source: Source,
        redactor: Redactor,
        *,
        tap: bool,
    ) -> None:
        self.monitor, self.access = monitor, access
        self._source = source
        self._redactor = redactor
        self._tap_allowed = tap
        self._stream = Stream(
            partial(source.document, live=True), source.watch, source.unwatch
        )
        self._pages = Starlette(
            routes=[
                Route("/", self._page),
                Route("/static/{name}", self._file),
                Route("/stats", self._stats),
                Route("/history", self._history),
                Route("/events", self._events),
                Route("/failures", _groups),
                Route("/tap/{stage:path}", self._tap),
            ]
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request.

        Args:
            scope: The ASGI scope.
            receive: The ASGI receive callable.
            send: The ASGI send callable.
        """
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["method"] not in _METHODS:
            await _plain(405, "only GET and HEAD")(scope, receive, send)
            return
        probe = _probes.probe_of(path)
        if probe is not None:
            await self._probe(probe, scope, receive, send)
            return
        refusal = self.access.refuse(scope)
        if refusal is not None:
            response = _plain(refusal.status, refusal.text)
        elif self.access.in_query(scope):
            response = _remember(self.access.token or "", scope)
        else:
            await self._pages(scope, receive, send)
            return
        await response(scope, receive, send)

    async def _probe(
        self, probe: tuple[str, str], scope: Message, receive: Receive, send: Send
    ) -> None:
        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        query = scope.get("query_string", b"")
        status, kind, body = _probes.answer(self.monitor, *probe, query, accept)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        response = Response(body, status, headers, media_type=kind)
        await response(scope, receive, send)

    async def _page(self, _: Request) -> Response:
        return _static("index.html")

    async def _file(self, request: Request) -> Response:
        return _static(request.path_params["name"])

    async def _stats(self, request: Request) -> Response:
        return _json(self._source.document(_instance(request)))

    async def _history(self, request: Request) -> Response:
        hours = request.query_params.get("span") == "hours"
        found = self._source.history(_instance(request), hours=hours)
        return _json(encode(found))

    async def _events(self, request: Request) -> Response:
        if self._stream.full:
            return _plain(503, "as many pages are open as may be; close one")
        return StreamingResponse(
            self._stream.events(_instance(request)),
            headers=_SAFE,
            media_type="text/event-stream",
        )

    async def _tap(self, request: Request) -> Response:
        if not self._tap_allowed:
            return _plain(
                403,
                "tap is off; allow it by tap = true in [tool.stagelight], "
                "STAGELIGHT_TAP=1 or serve(tap=True)",
            )
        if _tap.is_full():
            return _plain(503, "as many taps are open as may be; close one")
        try:
            tap = self._make_tap(request)
        except ConfigurationError as error:
            return _plain(400, str(error))
        return StreamingResponse(
            tap.lines(), headers=_SAFE, media_type="application/x-ndjson"
        )

    def _make_tap(self, request: Request) -> Tap:
        asked = request.query_params
        try:
            limit, interval = (
                int(asked.get("limit", 10)),
                float(asked.get("interval", 1)),
            )
        except ValueError:
            limit, interval = 0, 0.0
        if not 1 <= limit <= _tap.MOST_EVENTS:
            raise ConfigurationError(
                f"limit takes a number from 1 to {_tap.MOST_EVENTS}"
            )
        if not _tap.SHORTEST <= interval <= _tap.LONGEST:
            raise ConfigurationError(
                f"interval takes seconds from {_tap.SHORTEST} to {_tap.LONGEST:g}"
            )
        return _tap.Tap(
            request.path_params["stage"] or "*",
            self._redactor,
            pipeline=asked.get("pipeline", "*"),
            limit=limit,
            interval=interval,
        )


def _groups(_: Request) -> Response:
    """The groups of failed events; in a thread, for it reads a file."""
    return _json(encode(_failures.groups_document(limit=_GROUPS)))


def _instance(request: Request) -> str:
    return request.query_params.get("instance", "")[:200]


def _json(body: bytes) -> Response:
    return Response(body, headers=_SAFE, media_type="application/json")


def _plain(status: int, text: str) -> Response:
    headers = dict(_SAFE)
    if status == 401:  # noqa: PLR2004 - the status code
        headers["WWW-Authenticate"] = "Bearer"
    return Response(text + "\n", status, headers, media_type="text/plain")


def _remember(token: str, scope: Message) -> Response:
    """Keep the token in a cookie instead of in the address bar and its history."""
    here = scope.get("root_path", "")
    path = scope["path"].removeprefix(here) or "/"
    response = RedirectResponse(f"{here}{path}", 303, headers=_SAFE)
    response.set_cookie(
        COOKIE,
        token,
        httponly=True,
        samesite="strict",
        secure=scope.get("scheme") == "https",
        path=here or "/",
    )
    return response


def _static(name: str) -> Response:
    kind = _TYPES.get(name.rpartition(".")[2])
    body = (
        _read(name)
        if kind and name.replace(".", "").replace("-", "").isalnum()
        else None
    )
    if body is None:
        return _plain(404, "no such page")
    return Response(body, headers=_SAFE, media_type=kind)


@lru_cache(maxsize=16)
def _read(name: str) -> bytes | None:
    try:
        return (
            resources.files("stagelight.server").joinpath(f"static/{name}").read_bytes()
        )
    except OSError:
        return None


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
