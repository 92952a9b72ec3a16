"""Which declared patterns are in force, and which of them matched something."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from stagelight import _guard
from stagelight._refusals import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stagelight._patterns import Pattern

_MAIN: Final = "__main__"
#: The main module's name in a child that multiprocessing has spawned.
_SPAWNED: Final = "__mp_main__"
_PATTERNS: Final[list[Pattern]] = []
_MATCHED: Final[set[Pattern]] = set()
#: Further names of the main program: its script's stem, or its module's name.
_MAIN_NAMES: Final[list[str]] = []
#: Modules that were there before the patterns were.
EARLY: Final[set[str]] = set()


#: Patterns that had matched nothing in the end.
UNMATCHED: Final[set[str]] = set()


def begin(patterns: tuple[Pattern, ...]) -> None:
    """Put patterns in force.

    Args:
        patterns: The user's.
    """
    _PATTERNS[:] = patterns
    _MATCHED.clear()
    UNMATCHED.clear()
    EARLY.clear()
    EARLY.update(sys.modules)


def patterns() -> list[Pattern]:
    """The patterns in force."""
    return _PATTERNS


def name_main(*names: str) -> None:
    """Say how else the main program may be spelled in patterns.

    Args:
        names: Its script's stem, its module's name.
    """
    _MAIN_NAMES[:] = names


def main_names() -> list[str]:
    """Every spelling of the main program."""
    if _MAIN_NAMES:
        return [_MAIN, *_MAIN_NAMES]
    path = sys.argv[0] if sys.argv else ""
    stem = path.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
    return [_MAIN, stem] if stem and stem != "-c" else [_MAIN]


def find(module: str, qualname: str) -> Pattern | None:
    """The first pattern that means a function.

    Args:
        module: Name of its module.
        qualname: Its qualified name.
    """
    if not _PATTERNS:
        return None
    names = main_names() if module in {_MAIN, _SPAWNED} else [module]
    for pattern in _PATTERNS:
        if pattern.matches(qualname) and any(pattern.in_module(one) for one in names):
            _MATCHED.add(pattern)
            return pattern
    return None


def about_main() -> list[Pattern]:
    """Patterns that may mean something in the main program."""
    return [
        pattern
        for pattern in _PATTERNS
        if any(pattern.in_module(name) for name in main_names())
    ]


def complain(candidates: Callable[[list[Pattern]], Iterable[str]]) -> None:
    """Warn of each pattern that matched nothing, with the nearest names.

    Args:
        candidates: Names that could have been meant.
    """
    missed = [pattern for pattern in _PATTERNS if pattern not in _MATCHED]
    if not missed:
        return
    known = sorted(set(candidates(missed)))
    for pattern in missed:
        UNMATCHED.add(str(pattern))
        wanted = f"{pattern.module}:{pattern.target}"
        near = nearest(wanted, known, most=3)
        _guard.warn_once(
            f"missed {pattern}",
            "stagelight: the pattern %s matched nothing; %s",
            pattern,
            f"nearest are {', '.join(near)}"
            if near
            else "its module was not imported, or has no such function",
        )
