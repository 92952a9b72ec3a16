"""The event loop that answers, from the first connection to the end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from uvicorn import Config
from uvicorn.server import ServerState

from stagelight.server import _protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from stagelight.server._app import Application


class Running:
    """An event loop of its own for one listening socket.

    Args:
        application: What answers.
        listener: The socket.
    """

    def __init__(self, application: Application, listener: socket.socket) -> None:
        self._application, self._listener = application, listener
        # Not asyncio.run: the program may have set a policy of its own.
        self._loop = asyncio.SelectorEventLoop()
        self._over = self._loop.create_future()

    def run(self, ready: Callable[[], None]) -> None:
        """Serve until ``stop``.

        Args:
            ready: Called once it does.
        """
        try:
            self._loop.run_until_complete(self._serve(ready))
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def stop(self) -> None:
        """Serve no more; to be called from any thread, and more than once."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    async def _serve(self, ready: Callable[[], None]) -> None:
        # Its own access_log=False would silence the program's uvicorn as well.
        config = Config(
            self._application,
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

        def connect() -> asyncio.Protocol:
            return _protocol.BoundedProtocol(config, state, {}, self._loop)

        server = await self._loop.create_server(connect, sock=self._listener)
        ready()
        await self._over
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
