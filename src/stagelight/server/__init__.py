"""The live page, the numbers and the probes over HTTP."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from stagelight._config import Settings, load
from stagelight._errors import ConfigurationError
from stagelight._redaction import Redactor
from stagelight.health import Limits
from stagelight.health._monitor import MONITOR
from stagelight.server._access import make_access
from stagelight.server._address import LOOPBACK, PORT, bind, is_loopback, parse_address
from stagelight.server._failed import FailedEvents
from stagelight.server._serving import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stagelight.server._access import Access
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
    return open_server(
        address,
        token=token,
        hosts=hosts,
        limits=limits,
        tap=tap,
        trace_url=trace_url,
        watchdog=watchdog,
        grpc=grpc,
    )


def open_server(  # noqa: PLR0913 - as serve
    address: str | int | None = None,
    *,
    token: str | None = None,
    hosts: Iterable[str] = (),
    limits: Limits | None = None,
    tap: bool | None = None,
    trace_url: str | None = None,
    watchdog: str | int | None = None,
    grpc: str | int | None = None,
    later: bool = False,
) -> Server:
    """As ``serve``; later, it loads what it needs once somebody connects."""
    settings = load()
    if address is None:
        address = settings.listen or f"{LOOPBACK}:{PORT}"
    host, port = parse_address(address)
    access = make_access(host, token or settings.token, hosts)
    listener = bind(host, port)
    watchdog = settings.watchdog if watchdog is None else watchdog
    grpc = settings.grpc if grpc is None else grpc
    closing: list[Any] = []
    guard = service = None
    try:
        if watchdog is not None:
            from stagelight.server._watchdog import start_watchdog

            guard = start_watchdog(MONITOR, *parse_address(watchdog))
            closing.append(guard.close)
        if grpc is not None:
            from stagelight.server._grpc import start_service

            service = start_service(MONITOR, *parse_address(grpc))
            closing.append(service.close)
        make, failed = _make(settings, access, limits, tap, trace_url)
        application = make if later else make()
    except BaseException:
        listener.close()
        for close in closing:
            close()
        raise
    _watch_running_loop()
    MONITOR.start()
    failed.install()
    closing += [failed.uninstall, MONITOR.stop]

    def on_close() -> None:
        for close in closing:
            close()

    server = Server(application, listener, host, on_close, later=later)
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
    from stagelight.server._app import Application

    settings = load()
    host, port = parse_address(address)
    access = make_access(host, token or settings.token)
    listener = bind(host, port)
    MONITOR.life.seen = MONITOR.life.started = True
    MONITOR.start()
    redactor = Redactor(settings.redact)
    application = Application(MONITOR, access, source, redactor, tap=False)
    return Server(application, listener, host, MONITOR.stop)


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
    make, failed = _make(settings, access, limits, tap, trace_url)
    application = make()
    MONITOR.start()
    failed.install()
    return application


def _make(
    settings: Settings,
    access: Access,
    limits: Limits | None,
    tap: bool | None,  # noqa: FBT001 - as the caller was given it
    trace_url: str | None,
) -> tuple[Callable[[], Application], FailedEvents]:
    from stagelight.server._local import Local

    link = trace_url or settings.trace_url
    if link is not None and (
        "{trace_id}" not in link or not link.startswith(("http://", "https://"))
    ):
        raise ConfigurationError(
            f"trace_url is {link!r}; it takes an http(s) address with {{trace_id}}, as "
            "http://localhost:16686/trace/{trace_id}"
        )
    MONITOR.set_limits(limits or Limits(ingress=settings.ingress))
    redactor = Redactor(settings.redact)
    failed = FailedEvents(redactor)
    allowed = settings.tap if tap is None else tap
    source = Local(MONITOR, failed, tap=allowed, trace_url=link)

    def make() -> Application:
        from stagelight.server._app import Application

        return Application(MONITOR, access, source, redactor, tap=allowed)

    return make, failed


def _watch_running_loop() -> None:
    """Where a loop runs here, its being blocked is to be seen."""
    events = sys.modules.get("asyncio.events")
    loop = events._get_running_loop() if events else None  # noqa: SLF001
    if loop is not None:
        from stagelight.health import watch_loop

        watch_loop(loop)


def reachable_by_others(address: str) -> bool:
    """Whether an address is more than loopback.

    Args:
        address: The address.
    """
    return not is_loopback(parse_address(address)[0])
