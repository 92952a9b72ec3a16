from __future__ import annotations

import logging
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagelight._secrets import HIDDEN, keep_out_of_logs, learn, redact

SECRET = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=",%*"),
    min_size=8,
)


@given(secret=SECRET, before=st.text(), after=st.text())
def test_a_header_s_value_is_hidden_however_it_is_spelt(secret, before, after):
    """Raw or percent-encoded, behind a scheme or alone, a value never shows."""
    for spelling in (secret, quote(secret, safe="")):
        for scheme in ("", "Token ", "Token%20"):
            value = f"{scheme}{spelling}"
            env = {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"x-key={value}"}
            for shown in (spelling, value, secret):
                # A piece of the secret around it may complete it again.
                text = redact(f"{before}\n{shown}\n{after}", env)
                assert secret not in text.split("\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET http://user:pass@host/x", f"GET http://{HIDDEN}@host/x"),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {HIDDEN}"),
        ("authorization=Basic%20YWJj", f"authorization=Basic%20{HIDDEN}"),
        ("https://h/v1?api_key=abc&x=1", f"https://h/v1?api_key={HIDDEN}&x=1"),
        ("http://h:4318/v1/traces", "http://h:4318/v1/traces"),
        ("retry 3 of 5, see user@host", "retry 3 of 5, see user@host"),
    ],
)
def test_what_looks_like_a_secret(text, expected):
    """Secrets that no variable holds are known by their form, and nothing else is."""
    assert redact(text, {}) == expected


def test_public_headers_stay_readable():
    """A data set's name is no secret, and hiding it would garble every text."""
    env = {"OTEL_EXPORTER_OTLP_LOGS_HEADERS": "x-axiom-dataset=traces,dd-protocol=otlp"}
    text = "traces are not taken by otlp.example"
    assert redact(text, env) == text


def test_an_exporter_s_headers_are_learnt():
    """Headers that were set in code are hidden too."""
    learn({"x-own": "set-in-code-1"})
    learn((("x-own", "set-in-code-2"),))
    learn(None)
    learn(7)
    assert redact("set-in-code-1 set-in-code-2", {}) == f"{HIDDEN} {HIDDEN}"


def test_the_sdk_s_complaint_about_a_header(monkeypatch, caplog):
    """The SDK logs a header that it cannot read: without its content."""
    from opentelemetry.util.re import parse_env_headers

    text = "Authorization Bearer 0123456789"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", text)
    keep_out_of_logs()
    with caplog.at_level(logging.WARNING, "opentelemetry"):
        assert parse_env_headers(text, liberal=True) == {}
    assert "Header format invalid" in caplog.text
    assert "0123456789" not in caplog.text
