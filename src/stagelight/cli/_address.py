"""Asking a running program for its numbers, over HTTP."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import IO, Any, Final

import click

DEFAULT: Final = "http://127.0.0.1:8321/"
TOKEN: Final = "STAGELIGHT_TOKEN"  # noqa: S105 - the variable's name
_TIMEOUT: Final = 10.0


class Unreachable(click.ClickException):
    """Nobody answers, or not what was asked for."""

    exit_code = 2


class Source:
    """One program's server.

    Args:
        url: Its address; a bare one gets http.
        token: What it wants to see, if anything.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        if "://" not in url:
            url = f"http://{url}"
        if not url.startswith(("http://", "https://")):
            raise Unreachable(f"{url!r} is no http address")
        self.url = url.rstrip("/")
        self._token = token or os.environ.get(TOKEN)

    def open(self, path: str, timeout: float = _TIMEOUT) -> IO[bytes]:
        """The answer to a path.

        Args:
            path: With its query.
            timeout: Seconds without any news that it may take.

        Raises:
            Unreachable: There is none, or a refusal.
        """
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        request = urllib.request.Request(f"{self.url}{path}", headers=headers)  # noqa: S310 - http, see above
        # What is local is not asked for through a proxy.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            return opener.open(request, timeout=timeout)  # type: ignore[no-any-return]
        except urllib.error.HTTPError as error:
            text = error.read(2000).decode("utf-8", "replace").strip()
            hint = f" (set {TOKEN} or pass --token)" if error.code == 401 else ""  # noqa: PLR2004
            raise Unreachable(f"{self.url}: {error.code} {text}{hint}") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise Unreachable(
                f"{self.url}: {reason}; is a program with stagelight running there?"
            ) from None

    def document(self) -> dict[str, Any]:
        """The document of now."""
        with self.open("/stats") as answer:
            try:
                found: dict[str, Any] = json.load(answer)
            except ValueError as error:
                raise Unreachable(f"{self.url}: that is no document: {error}") from None
        if "pipelines" not in found:
            raise Unreachable(f"{self.url}: that is no stagelight")
        return found
