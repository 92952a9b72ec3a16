"""Events out of the JSON that ``_encoding`` writes.

A class is only looked up among the modules that are there, once the stage is: nothing
is imported and no constructor runs because of what the data says.
"""

from __future__ import annotations

import base64
import datetime as dt
import enum
import sys
import uuid
from decimal import Decimal
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from stagelight._failures._encoding import TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

_BASIC: Final[dict[str, Callable[[Any], Any]]] = {
    "bytes": base64.b64decode,
    "bytearray": lambda text: bytearray(base64.b64decode(text)),
    "decimal": Decimal,
    "uuid": uuid.UUID,
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda parts: dt.timedelta(*parts),
    "path": Path,
    "purepath": PurePath,
}
_SEQUENCES: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}


class UnreadableError(Exception):
    """An event that cannot be brought back here; the text says why."""


class Decoder:
    """Brings events back.

    Args:
        modules: Modules by the name that the program had for them, where it is
            another one here: its ``__main__``.
    """

    def __init__(self, modules: Mapping[str, ModuleType] | None = None) -> None:
        self._modules = dict(modules or {})

    def find(self, where: str) -> type:
        """The class of a path.

        Args:
            where: As ``module:Class``.

        Raises:
            UnreadableError: It is not there.
        """
        module, _, name = where.partition(":")
        found: Any = self._modules.get(module) or sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if not isinstance(found, type):
            raise UnreadableError(
                f"there is no class {where}; is it made by the module of the stage?"
            )
        return found

    def decode(self, value: Any) -> Any:  # noqa: PLR0911 - one a kind
        """The value that was encoded.

        Args:
            value: What ``json`` read.

        Raises:
            UnreadableError: A class of it is gone or has changed.
        """
        if isinstance(value, list):
            return [self.decode(one) for one in value]
        if not isinstance(value, dict):
            return value
        kind = value.get(TYPE)
        if kind is None:
            return {key: self.decode(one) for key, one in value.items()}
        content = value["v"]
        if kind in _BASIC:
            return _BASIC[kind](content)
        if kind in _SEQUENCES:
            return _SEQUENCES[kind]([self.decode(one) for one in content])
        if kind == "dict":
            return {self.decode(key): self.decode(one) for key, one in content}
        return self._object(kind, value["of"], content)

    def _object(self, kind: str, where: str, content: Any) -> Any:
        found: Any = self.find(where)
        if kind == "enum" and issubclass(found, enum.Enum):
            return found[content]
        if kind == "namedtuple" and issubclass(found, tuple):
            return tuple.__new__(found, [self.decode(one) for one in content])
        if kind != "object" or found.__new__ is not object.__new__:
            raise UnreadableError(f"{where} is no longer what it was: {kind}")
        made = object.__new__(found)
        for name, one in content.items():
            object.__setattr__(made, name, self.decode(one))
        return made
