"""Dataclasses whose methods are compiled when they are first called.

``dataclasses`` compiles up to six methods of each class where it is made, for 0.7 ms of
processor time; a short program pays that for tens of classes and uses few of them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, FrozenInstanceError
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - for type checkers

_NOTHING: Final = {"init": False, "repr": False, "eq": False}
#: Methods that the library makes of the fields, and what it is asked for.
_WANTED: Final = {
    "__repr__": {**_NOTHING, "repr": True},
    "__eq__": {**_NOTHING, "eq": True},
    "__hash__": {**_NOTHING, "unsafe_hash": True},
}

if not TYPE_CHECKING:

    def dataclass(
        kind: type | None = None, /, *, frozen: bool = False, slots: bool = False
    ) -> Any:
        """Make a class a dataclass, as ``dataclasses.dataclass`` does.

        Args:
            kind: The class.
            frozen: Whether its objects are not to be changed.
            slots: Whether they have slots.
        """

        def make(kind: type) -> type:
            found = dataclasses.dataclass(**_NOTHING, slots=slots)(kind)
            _promise(found, frozen=frozen)
            return found

        return make if kind is None else make(kind)


def _promise(kind: Any, *, frozen: bool) -> None:
    """Give a class what makes its methods when they are called."""
    own = dict(vars(kind))
    for name in _WANTED:
        if name == "__hash__" and not frozen:
            kind.__hash__ = None
        elif own.get(name) is None:
            _put(kind, name, partial(_by_library, kind, name))
    _put(kind, "__init__", lambda: _initializer(kind, frozen=frozen))
    kind.__signature__ = _Signature()
    if frozen:
        kind.__setattr__, kind.__delattr__ = _refuse_set, _refuse_delete
        if "__slots__" in own:
            kind.__getstate__, kind.__setstate__ = _state, _set_state


def _put(kind: Any, name: str, make: Callable[[], Any]) -> None:
    """Set a method that is replaced by the real one as it is called."""

    def stub(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return complete()(self, *args, **kwargs)

    def complete() -> Any:
        made = make()
        made.__qualname__ = f"{kind.__qualname__}.{name}"
        setattr(kind, name, made)
        return made

    stub.complete = complete  # type: ignore[attr-defined]
    setattr(kind, name, stub)


def _by_library(kind: Any, name: str) -> Any:
    """A method, as the library makes it for a class with the same fields."""
    names: dict[str, Any] = {"__annotations__": {}, "__module__": kind.__module__}
    for one in dataclasses.fields(kind):
        names["__annotations__"][one.name] = one.type
        names[one.name] = dataclasses.field(
            repr=one.repr, hash=one.hash, compare=one.compare
        )
    twin: Any = dataclasses.dataclass(**_WANTED[name])(type(kind.__name__, (), names))
    return vars(twin)[name]


def _initializer(kind: Any, *, frozen: bool) -> Any:
    """``__init__``, which sets all fields in their order."""
    names: dict[str, Any] = {"_set": object.__setattr__, "_MADE": _MADE}
    heads, lines = ["self"], []
    for one in dataclasses.fields(kind):
        name, default, made = one.name, f"_d_{one.name}", one.default_factory
        names[default] = one.default if made is MISSING else made
        value = name
        if made is not MISSING:
            value = f"{default}() if {name} is _MADE else {name}"
        elif not one.init:
            value = default
        if one.init and names[default] is MISSING:
            heads.append(name)
        elif one.init:
            given = default if made is MISSING else "_MADE"
            heads.append(f"{name}={given}")
        lines.append(
            f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}"
        )
    if hasattr(kind, "__post_init__"):
        lines.append("self.__post_init__()")
    body = "\n ".join(lines or ["pass"])
    exec(f"def __init__({', '.join(heads)}):\n {body}", names)  # noqa: S102 - as the library does
    found = names["__init__"]
    taken = {one.name: one.type for one in dataclasses.fields(kind) if one.init}
    found.__annotations__ = {**taken, "return": None}
    found.__module__ = kind.__module__
    return found


class _Made:
    def __repr__(self) -> str:
        return "<factory>"


#: Stands for what is made anew for each object.
_MADE: Final = _Made()


class _Signature:
    """Where ``inspect`` looks first for how a class is called: there is nothing."""

    def __get__(self, instance: object, owner: Any) -> Any:
        complete = getattr(owner.__init__, "complete", None)
        if complete is not None:
            complete()
        raise AttributeError


def _refuse_set(_self: object, name: str, _value: object) -> None:
    message = f"cannot assign to field {name!r}"
    raise FrozenInstanceError(message)


def _refuse_delete(_self: object, name: str) -> None:
    message = f"cannot delete field {name!r}"
    raise FrozenInstanceError(message)


def _state(self: Any) -> list[Any]:
    return [getattr(self, one.name) for one in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for one, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)
