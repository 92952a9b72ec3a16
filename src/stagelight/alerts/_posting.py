"""Sends JSON over HTTP.

Loaded as soon as a target needs it, with all that it needs itself: later on a program
under ``stagelight run`` may have modules of these names.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from stagelight.alerts._delivery import Refused


def post(address: str, body: Any, timeout: float = 5.0) -> None:
    """Send JSON.

    Args:
        address: Where to.
        body: What to send.
        timeout: Seconds.

    Raises:
        Refused: The target answers that it will never take this.
        OSError: It cannot be reached, or fails for now.
    """
    request = urllib.request.Request(  # noqa: S310 - the setting takes http only
        address,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "User-Agent": "stagelight"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout):  # noqa: S310
            pass
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(200).decode("utf-8", "replace").strip()
        message = f"it answers {error.code}: {text or error.reason}"
        if 400 <= error.code < 500 and error.code not in {408, 425, 429}:  # noqa: PLR2004 - HTTP
            raise Refused(message) from None
        raise OSError(message) from None
