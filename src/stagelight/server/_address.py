"""Where to listen: reading an address, and taking it."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from typing import Final

from stagelight._errors import ConfigurationError

PORT: Final = 8321
LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 128
_LAST_PORT: Final = 65_535


def parse_address(text: object) -> tuple[str, int]:
    """Host and port of an address.

    Args:
        text: ``host:port``, ``[::1]:port``, ``:port`` (all interfaces), or a bare port
            or host; by default loopback and 8321.

    Raises:
        ConfigurationError: It is none of these.
    """
    wrong = ConfigurationError(
        f"{text!r} is no address to listen on; it takes host:port, such as "
        f"{LOOPBACK}:{PORT}, [::1]:{PORT}, or 0.0.0.0:{PORT} with a token; port 0 "
        "takes a free one"
    )
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not isinstance(text, str) or not text.strip():
        raise wrong
    text = text.strip()
    if _is_number(text):
        host, port = LOOPBACK, text
    elif text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or str(PORT)
    elif text.count(":") > 1:
        host, port = text, str(PORT)
    else:
        host, _, port = text.partition(":")
        host, port = host or "0.0.0.0", port or str(PORT)  # noqa: S104 - as asked for
    if not _is_number(port) or int(port) > _LAST_PORT or not host or "/" in host:
        raise wrong
    return host, int(port)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10  # noqa: PLR2004


def is_loopback(host: str) -> bool:
    """Whether a host is this machine only.

    Args:
        host: A name or an address.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """Take an address.

    Raises:
        ConfigurationError: It is in use, or not this machine's.
    """
    try:
        # As bytes, for which no codec of international names has to be loaded.
        name = host.encode() if host.isascii() else host
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host!r}: {error}") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # Otherwise a restart would have to wait for the old connections' ends.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"{join_address(host, port)} is in use by another program; pass "
                "another port, or 0 for a free one"
            ) from None
        raise ConfigurationError(
            f"cannot listen on {join_address(host, port)}: {error.strerror}"
        ) from None
    listener.setblocking(False)  # noqa: FBT003 - its own name for it
    return listener


def join_address(host: str, port: int) -> str:
    """An address as it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(listener: socket.socket, host: str) -> str:
    """The URL of a listening socket.

    Args:
        listener: The socket.
        host: The host that was asked for.
    """
    port = listener.getsockname()[1]
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            host = LOOPBACK if listener.family == socket.AF_INET else "::1"
    return f"http://{join_address(host, port)}/"
