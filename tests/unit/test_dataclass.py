from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import FrozenInstanceError, field

import pytest

from stagelight._dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Frozen:
    """Has slots, and is not to be changed."""

    name: str
    parts: tuple[int, ...] = ()
    many: list[int] = field(default_factory=list, compare=False)


@dataclass
class Loose:
    """Can be changed, and looks at its values."""

    name: str
    size: int = 0

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(self.name)


def by_library() -> tuple[type, type]:
    """The same two by the standard library."""
    return tuple(
        dataclasses.dataclass(frozen=frozen, slots=frozen)(
            type(
                one.__name__,
                (),
                {
                    "__annotations__": one.__annotations__,
                    "__module__": __name__,
                    "__qualname__": one.__name__,
                    **{
                        each.name: field(
                            default=each.default,
                            default_factory=each.default_factory,
                            compare=each.compare,
                        )
                        for each in dataclasses.fields(one)
                    },
                },
            )
        )
        for one, frozen in ((Frozen, True), (Loose, False))
    )


def test_methods_are_made_late():
    """The class statement compiles nothing; the first object makes all of them."""

    @dataclass(frozen=True)
    class Fresh:
        """Nobody made one yet."""

        n: int

    assert Fresh.__init__.__code__.co_name == "stub"
    first = Fresh(3)
    assert Fresh.__init__.__code__.co_name == "__init__"
    assert (first.n, first) == (3, Fresh(3))


def test_signature_and_fields_are_those_of_the_library():
    """``inspect``, ``fields`` and ``match`` see what they would see."""

    @dataclass(slots=True)
    class Fresh:
        """Nobody made one yet."""

        n: int
        m: str = "m"

    assert str(inspect.signature(Fresh)) == "(n: 'int', m: 'str' = 'm') -> None"
    assert [one.name for one in dataclasses.fields(Fresh)] == ["n", "m"]
    assert dataclasses.is_dataclass(Fresh)
    assert Fresh.__match_args__ == ("n", "m")
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'n'"):
        Fresh()  # type: ignore[call-arg]


@pytest.mark.parametrize("place", [0, 1])
def test_objects_are_as_of_the_library(place: int):
    """Text, equality, hash, copies and ``asdict`` do not tell the two apart."""
    ours, theirs = (Frozen, Loose)[place], by_library()[place]
    one, other = ours("a", (3, 4)[place]), theirs("a", (3, 4)[place])
    assert repr(one) == repr(other)
    assert dataclasses.asdict(one) == dataclasses.asdict(other)
    assert one == ours("a", (3, 4)[place])
    assert one != other
    assert one != ours("b")
    for again in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert again == one
        assert type(again) is ours
    assert dataclasses.replace(one, name="c").name == "c"
    assert hasattr(one, "__dict__") == hasattr(other, "__dict__")
    assert (ours.__hash__ is None) == (theirs.__hash__ is None)
    if ours.__hash__ is not None:
        assert hash(one) == hash(other)


def test_frozen_ones_refuse_changes():
    """Neither set nor delete; what may be changed checks its values as it is made."""
    one = Frozen("a")
    for change in (
        lambda: setattr(one, "name", "b"),
        lambda: setattr(one, "other", "b"),
        lambda: delattr(one, "name"),
    ):
        with pytest.raises(FrozenInstanceError):
            change()
    assert one.many is not Frozen("a").many
    with pytest.raises(ValueError, match="small"):
        Loose("small", -1)
