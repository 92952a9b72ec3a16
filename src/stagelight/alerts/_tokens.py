"""The words of a rule, each with its column."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from stagelight._errors import ConfigurationError

SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZES: Final = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20}
_UNITS: Final = {**_SIZES, "GiB": 2**30, "%": 0.01}
_TOKEN: Final = re.compile(
    r"(?P<number>\d+(?:\.\d+)?)(?P<unit>%|[A-Za-z]+)?"
    r"|(?P<word>[A-Za-z_][\w.]*)"
    r"|(?P<sign>>=|<=|==|!=|[><+*/(),:-])"
)
_NAME: Final = re.compile(r"[^\s,]+")


@dataclass(frozen=True)
class Token:
    """One word: its kind, text, column from 0, and, of a number, its value."""

    kind: str
    text: str
    column: int
    value: float = 0.0


def wrong(text: str, column: int, message: str) -> ConfigurationError:
    """An error that points at a column.

    Args:
        text: The rule.
        column: From 0.
        message: What is wrong, and what would be right.
    """
    return ConfigurationError(
        f"column {column + 1}: {message}\n  {text}\n  {' ' * column}^"
    )


def tokens(text: str) -> list[Token]:
    """The words of a rule, and one that marks its end.

    Args:
        text: One line.

    Raises:
        ConfigurationError: A character or a unit is none of the language's.
    """
    found: list[Token] = []
    place = 0
    while True:
        while place < len(text) and text[place].isspace():
            place += 1
        if place == len(text):
            return [*found, Token("end", "", place)]
        listed = [one.kind for one in found[-2:]] == ["name", "sign"]
        after_on = bool(found) and (found[-1].text == "on" or listed)
        match = (_NAME if after_on and text[place] != "," else _TOKEN).match(
            text, place
        )
        if match is None:
            raise wrong(text, place, f"{text[place]!r} is not expected here")
        found.append(
            _token(text, place, match)
            if "number" in match.re.groupindex
            else Token("name", match[0], place)
        )
        place = match.end()


def _token(text: str, place: int, match: re.Match[str]) -> Token:
    if match["number"] is None:
        return Token("word" if match["word"] else "sign", match[0], place)
    value, unit = float(match["number"]), match["unit"]
    if unit in SECONDS:
        return Token("duration", match[0], place, value * SECONDS[unit])
    if unit is not None and unit not in _UNITS:
        known = ", ".join([*SECONDS, *_UNITS])
        raise wrong(
            text,
            match.start("unit"),
            f"unknown unit {unit!r}; known are {known}",
        )
    return Token("number", match[0], place, value * _UNITS.get(unit or "", 1.0))
