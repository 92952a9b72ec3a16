"""Keys, tokens and passwords, kept out of every text that we write.

What the environment calls a header of an exporter is a secret, unless its name says
that it is not; beside these, what looks like one in any text.
"""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HIDDEN: Final = "***"
_HEADERS: Final = re.compile(r"OTEL_EXPORTER_OTLP_(?:[A-Z]+_)?HEADERS")
#: Words in the names of headers that only say where telemetry belongs.
_PUBLIC: Final = re.compile(
    r"dataset|log-group|log-stream|protocol|compute_stats|user-agent|content-"
    r"|tenant|org-?id|scope",
    re.IGNORECASE,
)
#: A shorter text would be found in the middle of ordinary words.
_SHORTEST: Final = 4
_PATTERNS: Final = (
    # user:password@ in a URL
    (re.compile(r"(?<=://)[^/\s@'\"]+(?=@)"), HIDDEN),
    # Authorization values, whoever set them
    (
        re.compile(
            r"\b(Bearer|Basic|ApiKey|Api-Token|AWS4-HMAC-SHA256)(\s+|%20)[^\s'\",)]+",
            re.IGNORECASE,
        ),
        rf"\1\2{HIDDEN}",
    ),
    # ?api_key=… in a URL
    (
        re.compile(
            r"([?&][\w.-]*(?:key|token|secret|sig|auth|passw)[\w.-]*=)[^&\s'\"]+",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)
#: Secrets learnt from exporters, beside those of the environment.
_LEARNT: Final[set[str]] = set()


def learn(headers: Any) -> None:
    """Remember the secrets among an exporter's headers.

    Args:
        headers: A mapping or pairs, as exporters keep them; anything else is ignored.
    """
    pairs = headers.items() if hasattr(headers, "items") else headers
    try:
        for name, value in pairs or ():
            _LEARNT.update(_of_header(str(name), str(value)))
    except (TypeError, ValueError):
        return


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """A text without the secrets that are in it.

    Args:
        text: Anything that is about to be shown.
        environment: Where the headers are set; by default this process's variables.
    """
    known = set(_of_environment(os.environ if environment is None else environment))
    for secret in sorted(known | _LEARNT, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _of_environment(environment: Mapping[str, str]) -> Iterator[str]:
    for variable, value in environment.items():
        if _HEADERS.fullmatch(variable):
            for pair in value.split(","):
                name, mark, secret = pair.partition("=")
                # Without a "=" the SDK takes it for no header, and would show it.
                yield from _of_header(name if mark else "", secret if mark else name)


def _of_header(name: str, value: str) -> Iterator[str]:
    """The ways in which a header's value may be spelt."""
    if _PUBLIC.search(name):
        return
    for spelling in (value, unquote(value)):
        plain = spelling.strip()
        # "Bearer abc": what comes last is the secret on its own.
        for form in {plain, plain.rpartition(" ")[2], plain.rpartition("%20")[2]}:
            if len(form) >= _SHORTEST:
                yield form
                yield repr(form)[1:-1]  # as it stands in an error's text


class _Discreet(logging.Filter):
    """Takes secrets out of another library's log lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        return True


_DISCREET: Final = _Discreet()


def keep_out_of_logs() -> None:
    """Hide the headers that the SDK shows where it cannot read them."""
    parsing = logging.getLogger("opentelemetry.util.re")
    if _DISCREET not in parsing.filters:
        parsing.addFilter(_DISCREET)
