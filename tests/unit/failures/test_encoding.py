from __future__ import annotations

import datetime as dt
import enum
import json
import math
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagelight._failures._decoding import Decoder, UnreadableError
from stagelight._failures._encoding import Encoder, Keys, UnfitError
from stagelight._redaction import HIDDEN


class Colour(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Document:
    name: str
    data: bytes = b""
    words: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Small:
    n: int


class Plain:
    def __init__(self, n):
        raise AssertionError("no constructor runs because of what the data says")

    def __eq__(self, other):
        return type(other) is Plain and vars(other) == vars(self)

    __hash__ = None


class Counted:
    def __reduce__(self):
        return Counted, ()


def plain(**state):
    """An object without its constructor."""
    made = object.__new__(Plain)
    vars(made).update(state)
    return made


def again(value):
    """A value written as JSON and read back."""
    return Decoder().decode(json.loads(json.dumps(Encoder(Keys()).encode(value))))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.text(st.characters(categories=["Cs"]), max_size=1)
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.datetimes(timezones=st.just(dt.timezone.utc))
    | st.timedeltas(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.dictionaries(st.integers() | st.tuples(st.text()), inner)
        | st.lists(inner).map(tuple)
        | st.builds(Document, st.text(), st.binary(), st.lists(inner))
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_fits_comes_back_as_it_was(value):
    """Every value has its type and content again, unless a key called it secret."""
    encoder = Encoder(Keys())
    text = json.dumps(encoder.encode(value))
    found = Decoder().decode(json.loads(text))
    if not encoder.hidden:
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        Point(1, 2),
        Small(3),
        {1, 2},
        frozenset({"a"}),
        bytearray(b"ab"),
        Path("a/b"),
        dt.time(1, 2),
        {"$": 1},
        [math.inf],
        Decimal("1.10"),
        uuid.UUID(int=7),
        plain(n=1, inner=Document("x", b"\xff")),
    ],
)
def test_types_come_back(value):
    """Standard types, enumerations, named tuples, dataclasses and plain objects."""
    found = again(value)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        lambda: 1,
        Counted(),
        type("Local", (), {})(),
        (n for n in ()),
        Exception("x"),
        open,
        Document,
    ],
)
def test_what_would_not_come_back_is_refused(value):
    """Nothing is kept as JSON that is more than its fields."""

    class Inner:
        pass

    for one in (value, [value], {"a": value}, Inner()):
        with pytest.raises(UnfitError):
            Encoder(Keys()).encode(one)


def test_size_and_depth_are_bounded():
    """A huge or endless event is refused in bounded time."""
    endless = []
    endless.append(endless)
    for value in (endless, [0] * 200_000, [[n] for n in range(60_000)]):
        with pytest.raises(UnfitError, match="too deep or has too many parts"):
            Encoder(Keys()).encode(value)


def test_secrets_are_left_out_by_name():
    """At any depth, in dicts and objects, by our names and the user's, but his own."""
    encoder = Encoder(Keys(("^customer$",), ("tokens",)))
    found = encoder.encode(
        {
            "id": 1,
            "password": "a",
            "tokens": ["b"],
            "inner": [{"customer": {"name": "c"}}, plain(api_key="d", n=2)],
        }
    )
    assert Decoder().decode(found) == {
        "id": 1,
        "password": HIDDEN,
        "tokens": ["b"],
        "inner": [{"customer": HIDDEN}, plain(api_key=HIDDEN, n=2)],
    }
    assert encoder.hidden == 3


def test_a_class_is_only_looked_up():
    """A store cannot make a replay import a module, nor build just anything."""
    for where in ("no.such.module:Thing", "os:path", f"{__name__}:missing"):
        with pytest.raises(UnreadableError, match="there is no class"):
            Decoder().decode({"$": "object", "of": where, "v": {}})
    with pytest.raises(UnreadableError, match="no longer what it was"):
        Decoder().decode({"$": "object", "of": "builtins:str", "v": {}})


def test_the_main_module_may_have_another_name():
    """What was ``__main__`` is looked up in the module that stands for it."""
    import sys

    encoded = {"$": "object", "of": "__main__:Document", "v": {"name": "x"}}
    decoder = Decoder({"__main__": sys.modules[__name__]})
    assert decoder.decode(encoded).name == "x"
