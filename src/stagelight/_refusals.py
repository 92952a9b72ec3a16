"""How an error says what is wrong with a setting, and what was meant by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagelight._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence


def refuse(value: object, place: str, accepted: str) -> ConfigurationError:
    """The error for a value that cannot be right.

    Args:
        value: It.
        place: Where it was given.
        accepted: What would be right.
    """
    return ConfigurationError(
        f"{place}: {value!r} is not accepted; it takes {accepted}"
    )


def unknown_key(
    key: object, place: str, known: Sequence[str], word: str | None = None
) -> ConfigurationError:
    """The error for a key that nobody knows.

    Args:
        key: It.
        place: Where it was given.
        known: The keys that would do.
        word: The part of it that is misspelt; by default all.
    """
    near = nearest(str(key) if word is None else word, known)
    hint = f"did you mean {near[0]}? " if near else ""
    return ConfigurationError(
        f"{place}: unknown key {key!r}; {hint}known are {', '.join(known)}"
    )


def nearest(
    word: str, known: Sequence[str], most: int = 1, cutoff: float = 0.5
) -> list[str]:
    """Known words that are spelt alike, the nearest first.

    Args:
        word: One that is not known.
        known: Those that are.
        most: How many to give at most.
        cutoff: How alike they must be: 0 for any, 1 for the same.
    """
    import difflib  # only where something is misspelt

    return difflib.get_close_matches(word, known, most, cutoff)
