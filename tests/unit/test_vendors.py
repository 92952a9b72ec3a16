from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagelight import ConfigurationError, _vendors

NAMES = [vendor.name for vendor in _vendors.VENDORS]


def test_these_are_known():
    """The table has the nine vendors that are promised."""
    assert [
        *("grafana-cloud", "honeycomb", "datadog", "new-relic", "dynatrace"),
        *("elastic", "axiom", "google-cloud", "aws"),
    ] == NAMES


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Grafana Cloud", "grafana-cloud"),
        ("grafana", "grafana-cloud"),
        ("NewRelic", "new-relic"),
        ("new_relic", "new-relic"),
        ("DATADOG", "datadog"),
        ("gcp", "google-cloud"),
        ("aws", "aws"),
    ],
)
def test_a_name_may_be_written_in_several_ways(name, expected):
    """Case, spaces, hyphens and short names are no matter."""
    assert _vendors.find(name).name == expected


def test_an_unknown_vendor_is_an_error_that_lists_the_known():
    """A misspelt name is answered with all names."""
    with pytest.raises(ConfigurationError) as caught:
        _vendors.find("splunk")
    assert "'splunk'" in str(caught.value)
    assert all(name in str(caught.value) for name in NAMES)


def test_no_two_vendors_share_a_name():
    """Each name and alias means one vendor."""
    names = [name for one in _vendors.VENDORS for name in (one.name, *one.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", NAMES)
def test_placeholders_are_explained(name):
    """Each placeholder in the lines is explained in a comment above them."""
    vendor = _vendors.find(name)
    lines = _vendors.environment(vendor, {})
    text = _vendors.render(vendor, lines)
    for field in vendor.fields:
        if any(field.placeholder in value for value in lines.values()):
            assert f"# fill in {field.placeholder}: {field.meaning}" in text
    assert ("# fill in the token" in text) == bool(vendor.token)
    assert vendor.documentation in text


def test_an_unknown_field_names_the_known():
    """A field that the vendor has not is an error."""
    with pytest.raises(
        ConfigurationError, match="datadog has no 'zone'; it takes site"
    ):
        _vendors.environment(_vendors.find("datadog"), {"zone": "eu"})


@pytest.mark.parametrize("value", ["a b", "x,y=z", "$(reboot)", "a'b", "a\nb", "é"])
def test_a_value_that_cannot_stand_in_an_address_is_refused(value):
    """What would change the meaning of a line is refused, by the field's name."""
    with pytest.raises(ConfigurationError, match="site is"):
        _vendors.environment(_vendors.find("datadog"), {"site": value})


@given(token=st.text(min_size=1))
def test_any_token_arrives_whole(token):
    """The SDK reads back from the printed header what the token was."""
    from opentelemetry.util.re import parse_env_headers

    vendor = _vendors.find("honeycomb")
    lines = _vendors.environment(vendor, {}, token)
    text = lines["OTEL_EXPORTER_OTLP_HEADERS"]
    assert parse_env_headers(text, liberal=True) == {"x-honeycomb-team": token.strip()}
    [word] = shlex.split(shlex.quote(text))
    assert word == text
