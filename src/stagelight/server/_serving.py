"""A server in a thread of its own, with a socket of its own."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Final

from stagelight import _guard
from stagelight.server._address import url_of
from stagelight.server._late import PINNED

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight.server._running import Running
    from stagelight.server._shown import Shown

_OPEN: Final[weakref.WeakSet[Server]] = weakref.WeakSet()
#: Seconds that the end of the server may take.
_PATIENCE: Final = 2.0
#: Seconds after which the program is looked at though nobody asked: as long as a sign
#: of trouble has to last before it counts. An orchestrator asks sooner.
_SOON: Final = 30.0


class Server:
    """A running server; ``close()`` it, or use it in a ``with`` block.

    A late one waits for the first connection, and makes only then what answers it: a
    program that is over sooner than anybody asks pays for nothing.

    Attributes:
        url: Where the page is.
        port: The port that it listens on.
        watchdog_url: Where the watchdog process answers probes, or None.
        grpc_port: Where the gRPC health service listens, or None.
    """

    __module__ = "stagelight"

    def __init__(
        self,
        shown: Shown,
        listener: socket.socket,
        host: str,
        on_close: Callable[[], None],
        *,
        late: bool = False,
    ) -> None:
        self.watchdog_url: str | None = None
        self.grpc_port: int | None = None
        self.url = url_of(listener, host)
        self.port: int = listener.getsockname()[1]
        self._shown = shown
        self._listener = listener
        self._on_close = on_close
        self._pid = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        self._running: Running | None = None
        self._late = late
        self._ready = threading.Event()
        self._wake = socket.socketpair()
        self._thread = threading.Thread(
            target=self._run, name="stagelight-server", daemon=True
        )
        self._thread.start()
        if not late:
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
        with contextlib.suppress(OSError):
            self._wake[1].send(b"x")
        if self._running is not None:
            self._running.stop()
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
            if self._late and not self._asked(_SOON) and not self.closed:
                PINNED.load(watches_only=True)
                self._shown.begin()
                self._asked(None)
            if not self.closed:
                self._answer()
        except Exception as error:  # noqa: BLE001 - the program goes on without it
            _guard.caught("server", error)
        finally:
            self._ready.set()
            self._listener.close()
            for end in self._wake:
                end.close()

    def _asked(self, seconds: float | None) -> bool:
        """Wait for the first connection, or the end; whether one of them came."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake[0], selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def _answer(self) -> None:
        PINNED.load()
        from stagelight.server._running import Running

        self._shown.begin()
        self._running = Running(self._shown.application(), self._listener)
        if not self.closed:
            self._running.run(self._ready.set)

    def forget(self) -> None:
        """Close what a forked child has of its parent's socket."""
        for one in (self._listener, *self._wake):
            with contextlib.suppress(OSError):
                one.close()


def _after_fork() -> None:
    for server in list(_OPEN):
        server.forget()
    _OPEN.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
