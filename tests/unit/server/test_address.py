from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stagelight
from stagelight.server._access import Access, make_access
from stagelight.server._address import is_loopback, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8321", ("127.0.0.1", 8321)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9", ("::1", 9)),
        ("::1", ("::1", 8321)),
        (":80", ("0.0.0.0", 80)),
        ("9000", ("127.0.0.1", 9000)),
        (9000, ("127.0.0.1", 9000)),
        ("example.org", ("example.org", 8321)),
        ("0.0.0.0:8321", ("0.0.0.0", 8321)),
    ],
)
def test_addresses(text, address) -> None:
    """Host and port, either of them, in the usual forms."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", " ", "a:b", "1.2.3.4:99999", "http://x:1", None, True, 1.5, "[::1]:x"]
)
def test_what_is_no_address_is_refused(text) -> None:
    """The error shows some that are."""
    with pytest.raises(stagelight.ConfigurationError, match="no address to listen on"):
        parse_address(text)


@given(st.text())
def test_any_text_is_an_address_or_an_error(text) -> None:
    """Nothing else happens."""
    try:
        host, port = parse_address(text)
    except stagelight.ConfigurationError:
        return
    assert host
    assert 0 <= port <= 65535


def test_loopback() -> None:
    """All of 127/8, ::1 and localhost; no name that only looks like it."""
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    for host in ("0.0.0.0", "10.0.0.1", "127.0.0.1.nip.io", "::", "localhost.evil"):
        assert not is_loopback(host)


def scope(headers, client="127.0.0.1"):
    """A request's ASGI scope."""
    pairs = [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.items()]
    return {"headers": pairs, "client": (client, 1), "query_string": b""}


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_no_other_host_or_token_gets_in(text) -> None:
    """Whatever stands in the headers, only the right name or token lets in."""
    local = Access()
    host = text.partition(":")[0].lower()
    if not is_loopback(host) and not text.startswith("["):
        assert local.refuse(scope({"Host": text})) is not None
    secret = make_access("0.0.0.0", "correct-horse-battery")
    if "correct-horse-battery" not in text:
        headers = {"Authorization": f"Bearer {text}", "Cookie": f"stagelight={text}"}
        refusal = secret.refuse(scope(headers))
        assert refusal is not None
        assert refusal.status == 401


def test_further_hosts_may_be_named() -> None:
    """A name that a local proxy uses can be let in."""
    access = make_access("127.0.0.1", None, ["stage.local"])
    assert access.refuse(scope({"Host": "stage.local:80"})) is None
    assert access.refuse(scope({"Host": "other.local"})) is not None
