from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagelight import _redaction
from stagelight._redaction import HIDDEN, Redactor

REDACTOR = Redactor()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nothing to hide", "nothing to hide"),
        ("order 12345 took 1.5 s", "order 12345 took 1.5 s"),
        ("postgres://bob:hunter2@db/x", f"postgres://{HIDDEN}@db/x"),
        ("Authorization: Bearer abcdef123456", f"Authorization:{HIDDEN}"),
        ("bearer abcdef123456 was sent", f"{HIDDEN} was sent"),
        ("password=hunter2&x=1", f"password={HIDDEN}&x=1"),
        ('{"api_key": "abc123"}', f'{{"api_key":{HIDDEN}"}}'),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", HIDDEN),
        ("key AKIAIOSFODNN7EXAMPLE leaked", f"key {HIDDEN} leaked"),
        ("ghp_abcdefghijklmnopqrst", HIDDEN),
        ("write to bob.smith@example.co.uk", f"write to {HIDDEN}"),
        ("paid by 4111 1111 1111 1111 today", f"paid by {HIDDEN} today"),
        ("paid by 4111 1111 1111 1112 today", "paid by 4111 1111 1111 1112 today"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc", HIDDEN),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text, shown) -> None:
    """In texts secrets are recognised by their form, and nothing else is touched."""
    assert REDACTOR.text(text) == shown


@pytest.mark.parametrize(
    "key",
    [
        *("password", "Passwd", "db_password", "client_secret", "access_token"),
        *("API-Key", "apikey", "Authorization", "auth", "Set-Cookie", "session_id"),
        *("private_key", "ssn", "iban", "card_number", "cvv", "pin"),
    ],
)
def test_what_a_key_calls_secret_is_hidden(key) -> None:
    """Whatever its value is, of any type."""
    for value in ("x", 5, ["a"], {"b": 1}, None):
        assert REDACTOR.value({key: value, "id": 7}) == {key: HIDDEN, "id": 7}


def test_harmless_keys_are_kept() -> None:
    """Words that only contain such a word are no secrets."""
    event = {"author": "bob", "compass": "north", "spinning": 1, "tokens_count": 3}
    shown = REDACTOR.value(event)
    assert (shown["author"], shown["compass"], shown["spinning"]) == ("bob", "north", 1)


def test_objects_show_their_fields_and_run_nothing() -> None:
    """Dataclasses and plain objects show fields; no repr or property of theirs runs."""

    @dataclass
    class Card:
        number: str
        pin: str

    class Order:
        def __init__(self) -> None:
            self.id = 3
            self.card = Card("4111111111111111", "1234")
            self._hidden = 1

        def __repr__(self) -> str:
            raise AssertionError("not to be run")

        @property
        def total(self):
            raise AssertionError("not to be run")

    assert REDACTOR.value(Order()) == {
        "<type>": "Order",
        "id": 3,
        "card": {"<type>": "Card", "number": HIDDEN, "pin": HIDDEN},
    }


def test_it_is_bounded() -> None:
    """Deep, wide and circular values are cut."""
    circle: list = []
    circle.append(circle)
    assert REDACTOR.value(circle) == [[[["<list>"]]]]
    wide = REDACTOR.value(list(range(1000)))
    assert (len(wide), wide[-1]) == (51, "… 950 more")
    assert REDACTOR.value({n: n for n in range(60)})["…"] == "10 more"
    assert REDACTOR.value(b"abc") == "<3 bytes>"
    assert len(REDACTOR.text("x" * 10_000)) == 300


def test_own_patterns_count_as_well() -> None:
    """What the user calls secret is."""
    own = Redactor((r"patient-\d+",))
    assert own.value({"who": "patient-77"}) == {"who": HIDDEN}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=30,
    )
)
def test_any_data_comes_out_as_plain_data(value) -> None:
    """Whatever goes in, what comes out can be shown and never raises."""
    shown = REDACTOR.value({"value": value})
    assert set(shown) == {"value"}


@given(st.text(min_size=4, max_size=40, alphabet="abcdefXYZ0123456789+/"))
def test_a_password_never_leaves(secret) -> None:
    """Wherever it stands in a text, what follows password= is hidden."""
    shown = REDACTOR.text(f"tried password={secret} twice")
    assert shown == f"tried password={HIDDEN} twice"


_PARTS = st.sampled_from(
    [
        *("://", "@", ":", "=", " ", "-", "_", ".", "1234", "4111 1111 1111 1111", "a"),
        *("Bearer", "BASIC", "eyJhbGciOiJIUzI1", "AKIAIOSFODNN7EXAMPLE", "ASIA"),
        *("password", "PASSWD", "pwd", "secret", "token", "Api-Key", "access_key"),
        *("authorization", "sig", "signature", "ghp_", "gho_", "github_pat_", "xoxb-"),
        *("sk-", "sk_live_", "glpat-", "abcdefghijkl", "bob.smith", "example.com"),
        "-----BEGIN RSA PRIVATE KEY-----",
        "\u212a",  # a letter whose small form is k
        "\u017f",  # one that counts as s where case does not matter
    ]
)


@given(st.lists(st.one_of(_PARTS, st.text(max_size=4)), max_size=12).map("".join))
def test_no_text_with_a_secret_is_taken_for_harmless(text) -> None:
    """Where the search is left out it would have found nothing."""
    if _redaction._is_harmless(text):
        assert _redaction._TEXTS.search(text) is None
