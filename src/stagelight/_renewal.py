"""What a forked child cannot share with its parent: connections, and held locks."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def renewed(exporter: Any) -> Any:
    """An OTLP exporter like the given one, with a connection of its own.

    Args:
        exporter: One of the six of ``opentelemetry-exporter-otlp``.
    """
    fresh = copy.copy(exporter)
    if hasattr(fresh, "_shutdown_in_progress"):
        fresh._shutdown_in_progress = threading.Event()  # noqa: SLF001
    if hasattr(fresh, "_initialize_channel_and_stub"):  # gRPC, since 1.40
        fresh._initialize_channel_and_stub()  # noqa: SLF001
        return fresh
    holder = fresh
    client: Any = getattr(fresh, "_client", None)
    if hasattr(client, "_transport"):  # HTTP, since 1.45
        fresh._client = client = copy.copy(client)  # noqa: SLF001
        client._shutdown_event = threading.Event()  # noqa: SLF001
        holder = client._transport = copy.copy(client._transport)  # noqa: SLF001
    if not hasattr(holder, "_session"):
        return type(exporter)()  # from the environment
    session = copy.copy(holder._session)  # noqa: SLF001
    # Copies of the adapters open connections of their own.
    session.adapters = type(session.adapters)(
        (prefix, copy.copy(adapter)) for prefix, adapter in session.adapters.items()
    )
    holder._session = session  # noqa: SLF001
    return fresh


def reinit(locks: Iterable[Any]) -> None:
    """Free locks that another thread may have held when this process was forked.

    Args:
        locks: Locks of ``threading``; anything else is left alone.
    """
    for lock in locks:
        if hasattr(lock, "_at_fork_reinit"):
            lock._at_fork_reinit()  # noqa: SLF001 - as the standard library does
