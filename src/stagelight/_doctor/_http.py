"""Asking a backend: JSON or text over HTTP, bounded in time and size."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from stagelight._secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_PATIENCE: Final = 5.0
_LARGEST: Final = 32_000_000
_PAUSE: Final = 0.25
_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}


class BackendError(Exception):
    """A backend did not answer, or answered an error.

    Attributes:
        status: The HTTP status, 0 where there was no answer.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(redact(text))
        self.status = status


def get(
    url: str,
    parameters: Mapping[str, str] | None = None,
    accept: str = "application/json",
) -> str:
    """The body of an answer.

    Args:
        url: Where to ask; a user and a password in it are sent as Basic.
        parameters: Of the query.
        accept: The media type that is wanted.

    Raises:
        BackendError: There is no good answer.
    """
    query = f"?{urlencode(parameters)}" if parameters else ""
    bare, headers = _credentials(url)
    request = urllib.request.Request(  # noqa: S310 - checked to be http
        bare + query, headers={"Accept": accept, **headers}
    )
    # A proxy has no business between two programs of one host.
    local = urlsplit(bare).hostname in _LOOPBACK
    handlers = [urllib.request.ProxyHandler({})] if local else []
    opener = urllib.request.build_opener(*handlers)
    try:
        with opener.open(request, timeout=_PATIENCE) as answer:
            body: bytes = answer.read(_LARGEST)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(300).decode("utf-8", "replace").strip()
        raise BackendError(f"{error.code} {error.reason} {said}", error.code) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise BackendError(str(getattr(reason, "strerror", "") or reason)) from None
    return body.decode("utf-8", "replace")


def get_json(url: str, parameters: Mapping[str, str] | None = None) -> Any:
    """The document of an answer.

    Raises:
        BackendError: There is no good answer, or it is no JSON.
    """
    text = get(url, parameters)
    try:
        return json.loads(text)
    except ValueError:
        raise BackendError(f"the answer is no JSON: {text[:80]!r}") from None


def _credentials(url: str) -> tuple[str, dict[str, str]]:
    import base64
    from urllib.parse import unquote

    parts = urlsplit(url)
    user, mark, host = parts.netloc.rpartition("@")
    if not mark:
        return url, {}
    token = base64.b64encode(unquote(user).encode()).decode()
    return parts._replace(netloc=host).geturl(), {"Authorization": f"Basic {token}"}


def poll(look: Callable[[], T | None], deadline: float) -> T | None:
    """Look again and again until there is something, or time is up.

    Args:
        look: Returns what it found, or None.
        deadline: On the monotonic clock.
    """
    while True:
        found = look()
        if found is not None or time.monotonic() >= deadline:
            return found
        time.sleep(min(_PAUSE, max(deadline - time.monotonic(), 0)))
