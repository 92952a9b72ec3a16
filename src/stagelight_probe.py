"""The command ``stagelight``, and its ``probe``, which loads nothing of the package.

An exec probe starts an interpreter every few seconds: what it imports, the node pays.
"""

from __future__ import annotations

import sys

USAGE = """\
Usage: stagelight probe [OPTIONS] [URL]

  Ask a probe, for exec probes: ends with 0 where it passes, 1 where it fails, and 2
  where nobody answers.

  URL is http://127.0.0.1:8321/livez by default; a bare address gets /livez.

Options:
  --timeout SECONDS  How long to wait for the answer; 1 by default.
  --quiet            Print nothing.
  -h, --help         Show this message and exit.
"""
_DEFAULT = "http://127.0.0.1:8321/livez"
_FAILS = 400
_LARGEST = 1 << 20


def main() -> None:
    """Run ``probe`` here, and every other command in ``stagelight.cli``."""
    if sys.argv[1:2] == ["probe"]:
        sys.exit(probe(sys.argv[2:]))
    from stagelight.cli import main as command

    command()


def probe(arguments: list[str]) -> int:  # noqa: C901 - a parser would cost more
    """Ask a probe; returns the exit code.

    Args:
        arguments: Those of the command line.
    """
    url, timeout, quiet = _DEFAULT, 1.0, False
    left = list(arguments)
    while left:
        one = left.pop(0)
        name, mark, value = one.partition("=")
        if one in {"-h", "--help"}:
            sys.stdout.write(USAGE)
            return 0
        if one == "--quiet":
            quiet = True
        elif name == "--timeout":
            text = value if mark else left.pop(0) if left else ""
            try:
                timeout = float(text)
            except ValueError:
                timeout = 0.0
            if not 0 < timeout < 1e6:  # noqa: PLR2004 - more is no time-out
                return _complain(f"--timeout takes seconds, got {text!r}")
        elif one.startswith("-"):
            return _complain(f"no such option: {one}")
        else:
            url = one
    try:
        status, body = _get(url, timeout)
    except (OSError, ValueError) as error:
        if not quiet:
            sys.stderr.write(f"{url}: {error}\n")
        return 2
    if not quiet:
        sys.stdout.write(body.decode("utf-8", "replace").rstrip("\n") + "\n")
    return int(status >= _FAILS)


def _complain(text: str) -> int:
    sys.stderr.write(f"{USAGE.splitlines()[0]}\nError: {text}\n")
    return 2


def _get(url: str, timeout: float) -> tuple[int, bytes]:
    """Status and body; by hand, for an HTTP library costs more than all the rest."""
    import socket
    import time

    host, port, path = _split(url)
    until = time.monotonic() + timeout
    with socket.create_connection((host, port), timeout) as peer:
        name = f"[{host}]" if ":" in host else host
        request = f"GET {path} HTTP/1.0\r\nHost: {name}:{port}\r\n\r\n"
        peer.sendall(request.encode())
        data = b""
        while len(data) < _LARGEST:
            peer.settimeout(max(until - time.monotonic(), 0.001))
            part = peer.recv(65_536)
            if not part:
                break
            data += part
    head, _, body = data.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if not head.startswith(b"HTTP/") or len(words) < 2 or not words[1].isdigit():  # noqa: PLR2004
        raise ValueError("that is no HTTP answer")
    return int(words[1]), body


def _split(url: str) -> tuple[str, int, str]:
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "http", url
    if scheme != "http":
        raise ValueError("probes are asked over http")
    place, _, path = rest.partition("/")
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = place.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        raise ValueError(f"{port!r} is no port")
    return host or "127.0.0.1", int(port or 80), "/" + (path or "livez")


if __name__ == "__main__":
    main()
