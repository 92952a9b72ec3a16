"""Patterns that declare functions and methods of a program as stages."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from stagelight import _names
from stagelight._errors import ConfigurationError

_PART: Final = r"[\w*?!\[\]-]+"
_DOTTED: Final = rf"{_PART}(?:\.{_PART})*"
_TARGET: Final = rf"(?:{_PART}|<locals>)(?:\.(?:{_PART}|<locals>))*"
_PATTERN: Final = re.compile(rf"({_DOTTED}):({_TARGET})(?:=(.*))?", re.DOTALL)
#: What a pattern is, for errors.
FORM: Final = (
    "a pattern module:function or module:Class.method, with * ? [] as globs, "
    "and =name behind it to name the stage"
)


class Pattern(NamedTuple):
    """Functions and methods that are declared as stages.

    Attributes:
        module: Dotted name of the module, or a glob over dotted names.
        target: Qualified name inside it, or globs between its dots.
        name: Name of the stage, or None for that of the function.
        event_id: Attribute or key path of its events' identifiers, as ``meta.id``.
        pipeline: Name of the pipeline it belongs to, or None for the default one.
        span_kind: Kind of its spans.
        min_duration: Seconds below which its spans are not exported.
    """

    module: str
    target: str
    name: str | None = None
    event_id: str | None = None
    pipeline: str | None = None
    span_kind: str = "internal"
    min_duration: float = 0.0

    def __str__(self) -> str:
        return f"{self.module}:{self.target}" + (f"={self.name}" if self.name else "")

    @property
    def is_exact(self) -> bool:
        """Whether it can mean one thing only."""
        return not is_glob(self.module) and not is_glob(self.target)

    def in_module(self, module: str) -> bool:
        """Whether it is about a module.

        Args:
            module: Dotted name of the module.
        """
        return module == self.module or (
            is_glob(self.module) and fnmatchcase(module, self.module)
        )

    def matches(self, qualname: str) -> bool:
        """Whether it means a function of its module.

        A glob stays within one part of the name, and never means a dunder.

        Args:
            qualname: Qualified name of the function.
        """
        wanted, found = self.target.split("."), qualname.split(".")
        return len(wanted) == len(found) and all(
            part == glob
            or (is_glob(glob) and not _dunder(part) and fnmatchcase(part, glob))
            for glob, part in zip(wanted, found, strict=True)
        )


def is_glob(text: str) -> bool:
    """Whether a text may mean several names.

    Args:
        text: Part of a pattern.
    """
    return any(character in text for character in "*?[")


def _dunder(part: str) -> bool:
    return part.startswith("__") and part.endswith("__")


def parse_pattern(text: str, origin: str = "stages") -> Pattern:
    """The pattern that a text spells.

    Args:
        text: Such as ``shop.orders:Parser.*`` or ``shop:price=pricing``.
        origin: Where the text stands, for the error.

    Raises:
        ConfigurationError: It is none.
    """
    found = _PATTERN.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f"{origin}: {text!r} is no pattern; it takes {FORM}")
    module, target, name = found.groups()
    pattern = Pattern(module, target, None if name is None else name.strip())
    if pattern.name is None:
        return pattern
    if not pattern.is_exact:
        raise ConfigurationError(
            f"{origin}: {text!r} names a stage but may match several functions; leave "
            "out =name, or the globs"
        )
    if not 0 < len(pattern.name) <= _names.MAX_NAME or not pattern.name.isprintable():
        raise ConfigurationError(
            f"{origin}: {text!r} has a bad name behind =; it takes 1 to "
            f"{_names.MAX_NAME} printable characters"
        )
    return pattern
