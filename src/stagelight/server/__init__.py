"""The live page, the numbers and the probes over HTTP."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from stagelight._config import load
from stagelight.server._access import make_access
from stagelight.server._address import LOOPBACK, PORT, bind, parse_address
from stagelight.server._late import PINNED
from stagelight.server._serving import Server
from stagelight.server._shown import Shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stagelight._config import Settings
    from stagelight.health import Limits
    from stagelight.server._app import Application
    from stagelight.server._local import Source

__all__ = ["Server", "asgi_app", "serve"]


def serve(  # noqa: PLR0913 - keyword only, all optional
    address: str | int | None = None,
    *,
    token: str | None = None,
    hosts: Iterable[str] = (),
    limits: Limits | None = None,
    tap: bool | None = None,
    trace_url: str | None = None,
    watchdog: str | int | None = None,
    grpc: str | int | None = None,
) -> Server:
    """Serve page, numbers and probes, in a thread and on a socket of their own.

    ``/`` is the page, ``/stats`` its numbers; ``/livez``, ``/readyz`` and ``/startupz``
    are the probes, which are open to everybody. Everything else is for this machine
    alone, or with a token for those who show it.

    Args:
        address: Where to listen, as ``127.0.0.1:8321``; port 0 takes a free one. By
            default what the setting ``listen`` says.
        token: What others have to show; needed for any address but loopback.
        hosts: Names that this server is known by, beside those of loopback.
        limits: Thresholds of health.
        tap: Whether samples of events may be looked at; by default not.
        trace_url: Address of a trace, with ``{trace_id}`` in it, for links.
        watchdog: Where a small process of its own answers the probes as well: at once,
            whatever this one does, and for a lock that is held for ever too.
        grpc: Where the gRPC health service is served as well; needs the extra [grpc].

    Raises:
        ConfigurationError: The address is in use or no address, or others could reach
            it and there is no token.
    """
    return start(
        address,
        token=token,
        hosts=hosts,
        limits=limits,
        tap=tap,
        trace_url=trace_url,
        watchdog=watchdog,
        grpc=grpc,
    )


def start(  # noqa: PLR0913 - keyword only, all optional
    address: str | int | None = None,
    *,
    token: str | None = None,
    hosts: Iterable[str] = (),
    limits: Limits | None = None,
    tap: bool | None = None,
    trace_url: str | None = None,
    watchdog: str | int | None = None,
    grpc: str | int | None = None,
    late: bool = False,
    settings: Settings | None = None,
) -> Server:
    """As ``serve``, and may load what watches and serves only when it is needed.

    Args:
        address: As of ``serve``, and all others too.
        token: The same.
        hosts: The same.
        limits: The same.
        tap: The same.
        trace_url: The same.
        watchdog: The same.
        grpc: The same.
        late: Whether what watches is loaded half a minute later, and what serves by
            the first connection.
        settings: The user's; loaded where none are given.

    Raises:
        ConfigurationError: As ``serve``.
    """
    settings = settings or load()
    if address is None:
        address = settings.listen or f"{LOOPBACK}:{PORT}"
    host, port = parse_address(address)
    access = make_access(host, token or settings.token, hosts)
    shown = Shown(settings, access, limits=limits, tap=tap, trace_url=trace_url)
    listener = bind(host, port)
    watchdog = settings.watchdog if watchdog is None else watchdog
    grpc = settings.grpc if grpc is None else grpc
    late = late and watchdog is None and grpc is None
    closing: list[Any] = []
    guard = service = None
    try:
        if not late:
            PINNED.load()
            shown.begin()
            _watch_running_loop()
        if watchdog is not None:
            from stagelight.server._watchdog import start_watchdog

            guard = start_watchdog(shown.monitor(), *parse_address(watchdog))
            closing.append(guard.close)
        if grpc is not None:
            from stagelight.server._grpc import start_service

            service = start_service(shown.monitor(), *parse_address(grpc))
            closing.append(service.close)
    except BaseException:
        listener.close()
        for close in (*closing, shown.end):
            close()
        raise

    def on_close() -> None:
        for close in (*closing, shown.end):
            close()

    server = Server(shown, listener, host, on_close, late=late)
    server.watchdog_url = guard.url if guard is not None else None
    server.grpc_port = service.port if service is not None else None
    return server


def serve_source(source: Source, address: str, token: str | None = None) -> Server:
    """Serve the page of something else than this process.

    Args:
        source: Where its numbers come from.
        address: Where to listen.
        token: What others have to show.

    Raises:
        ConfigurationError: As ``serve``.
    """
    settings = load()
    host, port = parse_address(address)
    access = make_access(host, token or settings.token)
    shown = Shown(settings, access, source=source)
    listener = bind(host, port)
    PINNED.load()
    shown.begin()
    return Server(shown, listener, host, shown.end)


def asgi_app(
    *,
    token: str | None = None,
    hosts: Iterable[str] = (),
    limits: Limits | None = None,
    tap: bool | None = None,
    trace_url: str | None = None,
) -> Application:
    """The same as an ASGI application, to mount in one of yours.

    Without a token the page is for this machine alone. Mounted, the probes share your
    server's fate: where its loop is blocked they do not answer; ``serve`` does.

    Args:
        token: What others have to show.
        hosts: Names that this server is known by, beside those of loopback.
        limits: Thresholds of health.
        tap: Whether samples of events may be looked at; by default not.
        trace_url: Address of a trace, with ``{trace_id}`` in it, for links.

    Raises:
        ConfigurationError: The token is too short.
    """
    settings = load()
    access = make_access(LOOPBACK, token or settings.token, hosts)
    shown = Shown(settings, access, limits=limits, tap=tap, trace_url=trace_url)
    shown.begin()
    return shown.application()


def _watch_running_loop() -> None:
    """Where a loop runs here, its being blocked is to be seen."""
    events = sys.modules.get("asyncio.events")
    loop = events._get_running_loop() if events else None  # noqa: SLF001
    if loop is not None:
        from stagelight.health import watch_loop

        watch_loop(loop)
