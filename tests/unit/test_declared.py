from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagelight import ConfigurationError, _config
from stagelight._declared import KINDS, from_configuration_file, read_stages
from stagelight._patterns import Pattern

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = {
    "target": "shop.orders:Parser.parse",
    "name": "parsing",
    "event_id": "meta.id",
    "pipeline": "orders",
    "span_kind": "CONSUMER",
    "min_duration": "5ms",
}
PARSED = Pattern(
    "shop.orders", "Parser.parse", "parsing", "meta.id", "orders", "consumer", 0.005
)
YAML = """
file_format: "1.0"
instrumentation/development:
  python:
    methods:
      include:
        - class: shop.orders.Parser
          methods:
            - name: parse
              span_kind: CONSUMER
              stage: parsing
              event_id: meta.id
              pipeline: orders
              min_duration: 5ms
        - class: "shop:Outer.Inner"
          methods: [load]
        - module: shop.steps
          methods:
            - name: "*"
"""


def test_a_table_says_more_than_a_name():
    """Texts and tables stand in one list."""
    assert read_stages(["shop:price=pricing", WHOLE], "stages") == (
        Pattern("shop", "price", "pricing"),
        PARSED,
    )


def test_globs_stay_globs():
    """All that a table says is true of everything that its globs match."""
    (one,) = read_stages([{"target": "shop.*:*.run", "min_duration": 1}], "stages")
    assert one == Pattern("shop.*", "*.run", min_duration=1.0)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("shop:price", "a list"),
        ([3], "3 is not accepted"),
        ([{"name": "x"}], "target"),
        ([{**WHOLE, "span_knd": "client"}], "did you mean span_kind"),
        ([{**WHOLE, "span_kind": "sideways"}], "one of internal"),
        ([{**WHOLE, "min_duration": "5 minutes"}], "5ms"),
        ([{**WHOLE, "min_duration": -1}], "5ms"),
        ([{**WHOLE, "event_id": "meta id"}], "meta.id"),
        ([{**WHOLE, "pipeline": "x" * 65}], "1 to 64"),
        ([{**WHOLE, "name": ""}], "a text"),
        ([{"target": "a*:b", "name": "x"}], "may match several"),
    ],
)
def test_what_cannot_be_right_is_told(value: object, told: str):
    """An error names the place, the value and what is accepted."""
    with pytest.raises(ConfigurationError, match=r"stages.*") as caught:
        read_stages(value, "stages")
    assert told in str(caught.value)


@given(st.one_of(st.text(), st.integers(), st.none(), st.floats(), st.booleans()))
def test_no_value_raises_anything_else(value: object):
    """Whatever a file holds, it is accepted or refused in our own words."""
    for key in WHOLE:
        try:
            (one,) = read_stages([{**WHOLE, key: value}], "stages")
        except ConfigurationError:
            continue
        assert one.span_kind in KINDS
        assert one.min_duration >= 0


def test_the_configuration_file_of_opentelemetry(tmp_path: Path):
    """Methods are declared in the file's own form, as they are for Java."""
    path = tmp_path / "otel.yaml"
    path.write_text(YAML)
    assert from_configuration_file({"OTEL_CONFIG_FILE": str(path)}) == (
        PARSED,
        Pattern("shop", "Outer.Inner.load"),
        Pattern("shop.steps", "*"),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (YAML.replace("class: shop.orders.Parser", "class: Parser"), "package.module"),
        (YAML.replace("methods: [load]", "methods: load"), "class (or module)"),
        (YAML.replace("- name: parse", "- nam: parse"), "a name, and span_kind"),
        (YAML + "  : :", "no valid YAML"),
    ],
)
def test_a_wrong_configuration_file_is_told(text: str, told: str, tmp_path: Path):
    """An error names the file and the place in it."""
    path = tmp_path / "otel.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"otel\.yaml") as caught:
        from_configuration_file({"OTEL_CONFIG_FILE": str(path)})
    assert told in str(caught.value)


def test_files_about_something_else_are_not_read(tmp_path: Path):
    """A file without methods, or none at all, declares nothing."""
    path = tmp_path / "otel.yaml"
    path.write_text("file_format: '1.0'")
    assert from_configuration_file({"OTEL_CONFIG_FILE": str(path)}) == ()
    assert from_configuration_file({"OTEL_CONFIG_FILE": str(tmp_path / "none")}) == ()
    assert from_configuration_file({}) == ()


def test_the_environment_takes_tables_as_json(tmp_path: Path):
    """A variable holds patterns, or the whole list as JSON."""
    plain = _config.load(tmp_path, {"STAGELIGHT_STAGES": "shop:price, shop:load=l"})
    assert plain.stages == (Pattern("shop", "price"), Pattern("shop", "load", "l"))
    text = '["shop:price", {"target": "shop:load", "span_kind": "client"}]'
    whole = _config.load(tmp_path, {"STAGELIGHT_STAGES": text})
    assert whole.stages[1] == Pattern("shop", "load", span_kind="client")
    with pytest.raises(ConfigurationError, match="STAGELIGHT_STAGES"):
        _config.load(tmp_path, {"STAGELIGHT_STAGES": "[oops"})


def test_a_file_of_ours_takes_tables(tmp_path: Path):
    """``[[tool.stagelight.stages]]`` in pyproject.toml."""
    (tmp_path / "pyproject.toml").write_text(
        '[[tool.stagelight.stages]]\ntarget = "shop:load"\nmin_duration = "2s"\n'
    )
    assert _config.load(tmp_path, {}).stages == (
        Pattern("shop", "load", min_duration=2.0),
    )
