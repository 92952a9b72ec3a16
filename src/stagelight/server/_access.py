"""Who may see what: loopback alone, or whoever shows the token.

A browser on this machine can be led to our address by any page that it shows, so that
the names it asks for, and the pages that ask, are looked at too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from stagelight._errors import ConfigurationError
from stagelight.server._address import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COOKIE: Final = "stagelight"
_SHORTEST: Final = 16


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why somebody does not get what was asked for."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Access:
    """What is asked of those who want more than a probe.

    Attributes:
        token: What they have to show; None where only this machine is let in.
        hosts: Names that this server is known by, beside those of loopback.
    """

    token: str | None = None
    hosts: frozenset[str] = field(default_factory=frozenset)

    def refuse(self, scope: Mapping[str, Any]) -> Refusal | None:
        """Why a request is refused, or None where it is let in.

        Args:
            scope: The request's ASGI scope.
        """
        headers = {
            k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]
        }
        if not _same_origin(headers):
            return Refusal(403, "this page asks from another origin; open it directly")
        if self.token is not None:
            if self._shown(headers, scope.get("query_string", b"")):
                return None
            return Refusal(
                401,
                "a token is needed: send 'Authorization: Bearer TOKEN', or open "
                "/?token=TOKEN once in a browser",
            )
        client = scope.get("client") or ("", 0)
        forwarded = "x-forwarded-for" in headers or "forwarded" in headers
        if not is_loopback(client[0]) or forwarded:
            return Refusal(
                403, "without a token only this machine is let in; pass token="
            )
        host = _host(headers.get("host", ""))
        if not (is_loopback(host) or host in self.hosts):
            return Refusal(
                403, f"unknown host {host[:80]!r}; ask for 127.0.0.1 or localhost"
            )
        return None

    def in_query(self, scope: Mapping[str, Any]) -> bool:
        """Whether the right token stands in the address, where it must not stay."""
        found = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token")
        return self.token is not None and bool(found) and self._is(found[0])  # type: ignore[index]

    def _shown(self, headers: Mapping[str, str], query: bytes) -> bool:
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is(credential.strip()):
            return True
        for part in headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE and self._is(value):
                return True
        return self.in_query({"query_string": query})

    def _is(self, given: str) -> bool:
        import hmac  # it loads OpenSSL

        return self.token is not None and hmac.compare_digest(
            given.encode(), self.token.encode()
        )


def make_access(host: str, token: str | None, hosts: Iterable[str] = ()) -> Access:
    """The access to a server.

    Args:
        host: Where it listens.
        token: What has to be shown, or None.
        hosts: Further names that it is known by.

    Raises:
        ConfigurationError: Others could reach it, and there is no token; or the token
            is too short.
    """
    if token is not None and (
        len(token) < _SHORTEST or not token.isascii() or not token.isprintable()
    ):
        raise ConfigurationError(
            f"the token has {len(token)} characters; it takes {_SHORTEST} or more, all "
            "of them plain: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    if token is None and not is_loopback(host):
        raise ConfigurationError(
            f"{host} can be reached by others: pass token= (or set STAGELIGHT_TOKEN) "
            "for page and numbers, or listen on 127.0.0.1; probes need no token"
        )
    return Access(token, frozenset(hosts))


def _host(header: str) -> str:
    """The host of a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


def _same_origin(headers: Mapping[str, str]) -> bool:
    """Whether no other site's page is behind a request."""
    if headers.get("sec-fetch-site") == "cross-site":
        # A link from elsewhere may open the page; it cannot read it.
        return headers.get("sec-fetch-mode") == "navigate"
    origin = headers.get("origin")
    if origin is None:
        return True
    return bool(origin != "null" and urlsplit(origin).netloc == headers.get("host", ""))
