"""A server in a thread of its own, with a socket of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import weakref
from select import select
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight._registry import LATE
from stagelight.server._address import url_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight.server._app import Application

_OPEN: Final[weakref.WeakSet[Server]] = weakref.WeakSet()
#: Seconds that the end of the server may take.
_PATIENCE: Final = 2.0


class Server:
    """A running server; ``close()`` it, or use it in a ``with`` block.

    Attributes:
        url: Where the page is.
        port: The port that it listens on.
        watchdog_url: Where the watchdog process answers probes, or None.
        grpc_port: Where the gRPC health service listens, or None.
    """

    __module__ = "stagelight"

    def __init__(
        self,
        application: Application | Callable[[], Application],
        listener: socket.socket,
        host: str,
        on_close: Callable[[], None],
        *,
        later: bool = False,
    ) -> None:
        self.watchdog_url: str | None = None
        self.grpc_port: int | None = None
        self.url = url_of(listener, host)
        self.port: int = listener.getsockname()[1]
        self._application = application
        self._listener = listener
        self._on_close = on_close
        self._pid = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        #: Where it waits for somebody to look, before it loads what it needs.
        self._wake = socket.socketpair() if later else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="stagelight-server", daemon=True
        )
        self._thread.start()
        if not later:
            self._ready.wait(_PATIENCE)
        _OPEN.add(self)

    @property
    def closed(self) -> bool:
        """Whether it serves no more; in a forked child it never did."""
        return self._closed or self._pid != os.getpid()

    def close(self) -> None:
        """Serve no more; safe to call twice, and in a forked child."""
        with self._lock:
            if self.closed:
                return
            self._closed = True
        wake = self._wake
        if wake is not None:
            with contextlib.suppress(OSError):
                wake[1].send(b"\0")
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(stop.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(_PATIENCE)
        self._on_close()

    def __enter__(self) -> Server:  # noqa: PYI034 - typing.Self is newer than 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<stagelight.Server {self.url}{' closed' if self.closed else ''}>"

    def _run(self) -> None:
        try:
            if self._wake is not None and not self._asked(*self._wake):
                return
            # Not asyncio.run: the program may have set a policy of its own.
            loop = self._loop = asyncio.SelectorEventLoop()
            try:
                loop.run_until_complete(self._serve(loop))
            finally:
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.close()
        except Exception as error:  # noqa: BLE001 - the program goes on without it
            _guard.caught("server", error)
        finally:
            self._ready.set()
            self._listener.close()

    def _asked(self, wake: socket.socket, other: socket.socket) -> bool:
        """Wait for the first connection; False where it is closed before."""
        try:
            select([self._listener, wake], [], [])
        finally:
            wake.close()
            other.close()
            self._wake = None
        return not self._closed

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        with LATE:
            from uvicorn import Config
            from uvicorn.server import ServerState

            from stagelight.server import _protocol
            from stagelight.server._app import Application

            made = self._application
            if not isinstance(made, Application):
                self._application = made = made()

        # Its own access_log=False would silence the program's uvicorn as well.
        config = Config(
            made,
            http=_protocol.BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            server_header=False,
            timeout_keep_alive=_protocol.KEEP_ALIVE,
            h11_max_incomplete_event_size=_protocol.LARGEST,
        )
        config.load()
        state = ServerState()
        self._stop = asyncio.Event()

        def connect() -> asyncio.Protocol:
            return _protocol.BoundedProtocol(config, state, {}, loop)

        server = await loop.create_server(connect, sock=self._listener)
        self._ready.set()
        if not self._closed:  # meanwhile
            await self._stop.wait()
        server.close()
        for connection in list(state.connections):
            transport: Any = connection.transport
            transport.abort()
        tasks = [
            one for one in asyncio.all_tasks() if one is not asyncio.current_task()
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def forget(self) -> None:
        """Close what a forked child has of its parent's socket."""
        for one in (self._listener, *(self._wake or ())):
            with contextlib.suppress(OSError):
                one.close()


def _after_fork() -> None:
    for server in list(_OPEN):
        server.forget()
    _OPEN.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
