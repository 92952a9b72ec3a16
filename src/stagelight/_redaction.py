"""Nothing secret leaves: keys that name a secret, and texts that look like one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any, Final

HIDDEN: Final = "[redacted]"
_DEEP: Final = 4
_WIDE: Final = 50
_LONG: Final = 300
_KEYS: Final = re.compile(
    r"(?:^|[_-])pass$|pass(?:wd|word|phrase|code)|secret|token|api.?key|access.?key|private"
    r"|credential|authori[sz]ation|^auth$|cookie|session|bearer|signature|ssn|iban"
    r"|card.?n(?:o|um)|cvv|^pin$",
    re.IGNORECASE,
)
_TEXTS: Final = re.compile(
    r"(?P<url>(?<=://)[^\s/:@]+:[^\s/@]+(?=@))"
    r"|(?P<bearer>(?i:bearer|basic)\s+[\w.~+/=-]{8,})"
    r"|(?P<jwt>\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?)"
    r"|(?P<pair>(?i:(?<![a-z])(?:password|passwd|pwd|secret|token|api[_-]?key"
    r"|access[_-]?key|authorization|sig(?:nature)?))[\"']?\s*[=:]\s*"
    r"[\"']?(?:(?i:bearer|basic)\s+)?[^\s\"'&,;}]+)"
    r"|(?P<aws>\b(?:AKIA|ASIA)[A-Z0-9]{16}\b)"
    r"|(?P<vendor>\b(?:gh[pousr]_|github_pat_|xox[abprs]-|sk-|sk_live_|glpat-)"
    r"[\w-]{10,})"
    r"|(?P<pem>-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?"
    r"(?:-----END [A-Z ]*PRIVATE KEY-----|$))"
    r"|(?P<mail>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    r"|(?P<card>(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w.]))"
)

#: One of these is in every text that ``_TEXTS`` matches, in small letters.
_MARKS: Final = (
    *("@", "bearer", "basic", "eyj", "akia", "asia", "-----begin"),
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "sk-"),
    "sk_",
)
#: One of these, where a value stands beside its name.
_WORDS: Final = ("passw", "pwd", "secret", "token", "key", "authorization", "sig")
_DIGITS: Final = re.compile(r"\d(?:[ -]?\d){12}")


def _is_harmless(text: str) -> bool:
    """Whether a text surely holds no secret: to search for one takes far longer.

    Args:
        text: The text. What small letters are is only sure for ASCII.
    """
    if not text.isascii():
        return False
    small = text.lower()
    for mark in _MARKS:
        if mark in small:
            return False
    if "=" in small or ":" in small:
        for word in _WORDS:
            if word in small:
                return False
    return _DIGITS.search(small) is None


def names_secret(key: str) -> bool:
    """Whether a key, field or variable of that name holds a secret.

    Args:
        key: The name.
    """
    return _KEYS.search(key) is not None


class Redactor:
    """Makes values fit to be shown.

    Args:
        patterns: Regular expressions of what else is not to leave.
        secret: Whether what has such a key, or field, is not to leave.
    """

    def __init__(
        self,
        patterns: tuple[str, ...] = (),
        secret: Callable[[str], bool] = names_secret,
    ) -> None:
        self.use(patterns)
        self._secret = secret

    def use(self, patterns: Iterable[str]) -> None:
        """Hide these from now on, and no longer what it was made to hide beside.

        Args:
            patterns: Regular expressions.
        """
        self._own = [re.compile(pattern) for pattern in patterns]

    def own(self, value: str) -> str:
        """A whole text without what the program's own patterns match.

        Args:
            value: The text.
        """
        for pattern in self._own:
            value = pattern.sub(HIDDEN, value)
        return value

    @property
    def patterns(self) -> tuple[str, ...]:
        """The program's own patterns."""
        return tuple(pattern.pattern for pattern in self._own)

    def text(self, value: str, limit: int = _LONG) -> str:
        """A text without secrets, cut to a length.

        Args:
            value: The text.
            limit: Characters that are left at most.
        """
        # Some more than is shown: a secret must not be cut in two and so missed.
        value = value[: limit * 4]
        if not _is_harmless(value):
            value = _TEXTS.sub(_hide, value)
        value = self.own(value)
        return value if len(value) <= limit else f"{value[: limit - 1]}…"

    def value(self, value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 - one a kind
        """Any value as plain data without secrets, bounded in depth and width.

        Args:
            value: Anything at all.
            depth: How deep in the whole it is.
        """
        if value is None or isinstance(value, (bool, int, float)):
            hidden = isinstance(value, int) and self.text(str(value)) != str(value)
            return HIDDEN if hidden else value
        if isinstance(value, str):
            return self.text(str(value))
        if isinstance(value, (bytes, bytearray, memoryview)):
            return f"<{len(value):,} bytes>"
        if depth >= _DEEP:
            return f"<{type(value).__name__}>"
        if isinstance(value, Mapping):
            return self._pairs(value.items(), len(value), depth)
        if isinstance(value, (list, tuple, set, frozenset)):
            shown = [self.value(one, depth + 1) for one in islice(value, _WIDE)]
            more = len(value) - len(shown)
            return [*shown, f"… {more:,} more"] if more else shown
        return self._object(value, depth)

    def _pairs(self, items: Any, number: int, depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for key, one in islice(items, _WIDE):
            name = self.text(str(key), 80)
            hide = self._secret(name)
            shown[name] = HIDDEN if hide else self.value(one, depth + 1)
        if number > len(shown):
            shown["…"] = f"{number - len(shown):,} more"
        return shown

    def _object(self, value: Any, depth: int) -> Any:
        """An object by its fields; never its own ``repr``, which may do anything."""
        kind = type(value)
        if is_dataclass(kind):
            names = [one.name for one in fields(kind)]
            pairs = [(name, getattr(value, name, None)) for name in names]
        else:
            own = getattr(value, "__dict__", None)
            if not isinstance(own, dict):
                return f"<{kind.__name__}>"
            pairs = [(k, v) for k, v in own.items() if not str(k).startswith("_")]
        return {"<type>": kind.__name__, **self._pairs(pairs, len(pairs), depth)}


def _hide(found: re.Match[str]) -> str:
    kind, text = found.lastgroup, found[0]
    if kind == "card" and not _is_card(text):
        return text
    if kind == "pair":
        key = re.split(r"[=:]", text, maxsplit=1)[0]
        return f"{key}{text[len(key)]}{HIDDEN}"
    return HIDDEN


def _is_card(text: str) -> bool:
    """Whether the check digit is that of a card number."""
    digits = [int(character) for character in text if character.isdigit()]
    total = sum(
        digit if place % 2 == 0 else digit * 2 - 9 * (digit > 4)  # noqa: PLR2004
        for place, digit in enumerate(reversed(digits))
    )
    return total % 10 == 0
