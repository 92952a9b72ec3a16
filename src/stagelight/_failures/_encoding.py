"""Events as JSON that says which types they were, without what is secret in them.

Plain values stay plain. Anything else is an object with one key ``$`` for its type.
What cannot come back as it was does not fit, and is refused.
"""

from __future__ import annotations

import base64
import datetime as dt
import enum
import re
import sys
import types
import uuid
from dataclasses import fields, is_dataclass
from decimal import Decimal
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from stagelight._failures._texts import TEXTS
from stagelight._redaction import HIDDEN, names_secret

if TYPE_CHECKING:
    from collections.abc import Callable

TYPE: Final = "$"
_DEEP: Final = 64
_MANY: Final = 100_000
_NAMES: Final = 10_000
_ABSENT: Final = object()
#: Types whose text is all there is to them, and how they are called.
TEXT_TYPES: Final[dict[type, str]] = {
    Decimal: "decimal",
    uuid.UUID: "uuid",
    dt.datetime: "datetime",
    dt.date: "date",
    dt.time: "time",
}
_TEXT_OF: Final[dict[type, Callable[[Any], str]]] = {
    dt.datetime: dt.datetime.isoformat,
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
}
SEQUENCES: Final[dict[type, str]] = {
    tuple: "tuple",
    set: "set",
    frozenset: "frozenset",
}
_CONTAINERS: Final = frozenset({dict, list, *SEQUENCES})
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
_SIZED: Final = frozenset({str, bytes, bytearray})
_NEVER_SECRET: Final = frozenset({bool, type(None)})


#: Who defines these decides by itself what its objects are made of.
_SPECIAL: Final = ("__reduce__", "__reduce_ex__", "__new__")


class UnfitError(Exception):
    """A value that JSON cannot bring back as it was; the text says which."""


class Keys:
    """Decides by its name whether a value is kept.

    Args:
        further: Regular expressions of names that are secret as well.
        kept: Names that are not, whatever they look like.
    """

    def __init__(
        self, further: tuple[str, ...] = (), kept: tuple[str, ...] = ()
    ) -> None:
        self._further = [re.compile(one, re.IGNORECASE) for one in further]
        self._kept = frozenset(kept)
        self._known: dict[str, bool] = {}

    def secret(self, name: str) -> bool:
        """Whether what has this name is not to be kept.

        Args:
            name: A key, field or variable.
        """
        known = self._known.get(name)
        if known is None:
            known = name not in self._kept and (
                names_secret(name) or any(one.search(name) for one in self._further)
            )
            if len(self._known) < _NAMES:
                self._known[name] = known
        return known


class Encoder:
    """Turns one event into what ``json`` can write.

    Args:
        keys: Which names are secret.
        most: Parts that a value may have.
        longest: Characters or bytes that one of them may have, None for any number.

    Attributes:
        hidden: How many values were left out as secret.
    """

    def __init__(
        self, keys: Keys, most: int = _MANY, longest: int | None = None
    ) -> None:
        self._secret = keys.secret
        self._longest = longest
        #: Values of these types are kept as they are.
        looks = longest is not None or bool(TEXTS.patterns)
        self._plain = _NEVER_SECRET if looks else _PLAIN
        self._left = most
        self.hidden = 0

    def encode(self, value: Any, depth: int = 0) -> Any:  # noqa: C901, PLR0911 - one a kind
        """A value as plain data.

        Args:
            value: Anything.
            depth: How deep in the event it is.

        Raises:
            UnfitError: It would not come back as it was.
        """
        kind = type(value)
        if kind in self._plain:
            return value
        if kind in _SIZED and self._longest is not None and len(value) > self._longest:
            raise UnfitError(f"a part of it is longer than {self._longest:,}")
        if kind in _PLAIN:
            return self._shown(value, str(value))
        self._take(len(value) if kind in _CONTAINERS else 1, depth)
        depth += 1
        if kind is dict:
            return self._dict(value, depth)
        if kind is list:
            return [
                one if type(one) in self._plain else self.encode(one, depth)
                for one in value
            ]
        if kind in SEQUENCES:
            return self._typed(SEQUENCES[kind], list(value), depth)
        if kind is bytes or kind is bytearray:
            if self._shown(value, value.decode("latin-1")) is HIDDEN:
                return HIDDEN
            text = base64.b64encode(value).decode("ascii")
            return {TYPE: kind.__name__, "v": text}
        if kind in TEXT_TYPES:
            text = _TEXT_OF.get(kind, str)(value)
            shown = self._shown(value, text)
            return HIDDEN if shown is HIDDEN else {TYPE: TEXT_TYPES[kind], "v": text}
        if kind is dt.timedelta:
            parts = [value.days, value.seconds, value.microseconds]
            return {TYPE: "timedelta", "v": parts}
        if isinstance(value, PurePath) and kind.__module__.startswith("pathlib"):
            name = "path" if isinstance(value, Path) else "purepath"
            shown = self._shown(value, str(value))
            return HIDDEN if shown is HIDDEN else {TYPE: name, "v": str(value)}
        return self._object(value, kind, depth)

    def _take(self, number: int, depth: int) -> None:
        """Bound the time that an event can take."""
        self._left -= number + 1
        if depth > _DEEP or self._left < 0:
            raise UnfitError("it is too deep or has too many parts")

    def _typed(self, name: str, values: list[Any], depth: int) -> dict[str, Any]:
        return {TYPE: name, "v": [self.encode(one, depth) for one in values]}

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        made = {}
        hidden, plain = self.hidden, self._plain
        for key, one in value.items():
            if type(key) is not str or key == TYPE:
                self.hidden = hidden  # it begins anew
                return self._pairs(value, depth)
            name = key if self._plain is _PLAIN else self._shown(key, key)
            if self._secret(key):
                self.hidden += 1
                made[name] = HIDDEN
            else:
                made[name] = one if type(one) in plain else self.encode(one, depth)
        return made

    def _pairs(self, value: dict[Any, Any], depth: int) -> Any:
        pairs = [
            [self.encode(key, depth), self._named(str(key), one, depth)]
            for key, one in value.items()
        ]
        return {TYPE: "dict", "v": pairs}

    def _shown(self, value: Any, text: str) -> Any:
        """A value, or what the program's own patterns leave of it."""
        if self._plain is _PLAIN:
            return value
        shown = TEXTS.own(text)
        if shown == text:
            return value
        self.hidden += 1
        return shown if type(value) is str else HIDDEN

    def _named(self, name: str, value: Any, depth: int) -> Any:
        if self._secret(name):
            self.hidden += 1
            return HIDDEN
        return self.encode(value, depth)

    def _object(self, value: Any, kind: type, depth: int) -> dict[str, Any]:
        where = class_path(kind)
        if isinstance(value, enum.Enum):
            return {TYPE: "enum", "of": where, "v": value.name}
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            pairs = zip(kind._fields, value, strict=True)
            parts = [self._named(name, one, depth) for name, one in pairs]
            return {TYPE: "namedtuple", "of": where, "v": parts}
        state = {
            name: self._named(name, one, depth)
            for name, one in state_of(value, kind).items()
        }
        return {TYPE: "object", "of": where, "v": state}


def class_path(kind: type) -> str:
    """How a class is found again, as ``module:Class``.

    Args:
        kind: The class.

    Raises:
        UnfitError: It cannot be: it is made in a function, say.
    """
    found: Any = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not kind:
        raise UnfitError(f"{kind.__module__}.{kind.__qualname__} is in no module")
    return f"{kind.__module__}:{kind.__qualname__}"


def state_of(value: Any, kind: type) -> dict[str, Any]:
    """All that an object consists of, by name.

    Args:
        value: A dataclass's instance, or a plain object.
        kind: Its class.

    Raises:
        UnfitError: It may hold more than these.
    """
    own = [vars(base) for base in kind.__mro__[:-1]]
    plain = not isinstance(
        value, (type, types.ModuleType, types.FunctionType)
    ) and not any(name in space for name in _SPECIAL for space in own)
    if not plain or (not is_dataclass(kind) and _keeps_state(kind)):
        raise UnfitError(f"{kind.__module__}.{kind.__qualname__} is no plain object")
    held = getattr(value, "__dict__", None)
    state = dict(held) if held is not None else {}
    if is_dataclass(kind):
        for one in fields(kind):
            part = getattr(value, one.name, _ABSENT)
            if part is not _ABSENT:
                state.setdefault(one.name, part)
    elif held is None:
        raise UnfitError(f"{kind.__module__}.{kind.__qualname__} has no fields")
    if not all(type(name) is str for name in state):
        raise UnfitError(f"{kind.__qualname__} has a field whose name is no text")
    return state


def _keeps_state(kind: type) -> bool:
    """Whether a class has slots, or says by itself what its state is."""
    own = ("__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")
    return any(
        "__slots__" in vars(base) or any(name in vars(base) for name in own)
        for base in kind.__mro__[:-1]
    )
