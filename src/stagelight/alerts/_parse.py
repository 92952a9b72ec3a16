"""Rules as readable lines: ``queue.size > 50 for 1m on parsed``.

::

    rule       [warning|critical] [Name:] condition [for D] [keep D] [on NAME[, NAME]]
    condition  comparison, joined by and, unless, or
    comparison sum > sum          also >= < <= == !=
    atom       number[%], duration, source, (sum), function(sum, window[, horizon])
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stagelight._refusals import nearest
from stagelight.alerts._expressions import (
    RANGES,
    Absent,
    Binary,
    Compare,
    Logic,
    Node,
    Number,
    Pick,
    Range,
    Select,
    looks,
    scope,
)
from stagelight.alerts._ratios import BUSY, RATIOS, USUAL, ratio
from stagelight.alerts._sources import PROCESS, SOURCES
from stagelight.alerts._tokens import Token, tokens, wrong

SEVERITIES: Final = ("warning", "critical")
_COMPARISONS: Final = (">", ">=", "<", "<=", "==", "!=")
_WORDS: Final = ("and", "or", "unless", "for", "keep", "on", "else")
_LONGEST: Final = 30 * 86_400.0
_DEEPEST: Final = 20
_LARGEST: Final = 1e18
#: Words of a rule at most.
_MOST: Final = 300


@dataclass(frozen=True)
class Line:
    """A parsed line.

    Attributes:
        condition: When it holds.
        said: The condition as it was written.
        severity: ``warning`` or ``critical``.
        name: Its name, "" where the line gives none.
        hold: Seconds that the condition has to hold before the alert fires.
        keep: Seconds that the alert goes on after it.
        on: Names or globs of stages or queues; none for all.
    """

    condition: Node
    said: str
    severity: str = "warning"
    name: str = ""
    hold: float = 0.0
    keep: float | None = None
    on: tuple[str, ...] = ()


def parse(text: str) -> Line:
    """Read one rule.

    Args:
        text: One line.

    Raises:
        ConfigurationError: It cannot be read; the text points at the column.
    """
    return _Parser(text).rule()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.place = 0
        self.depth = 0
        if len(self.tokens) > _MOST:
            raise self.error("this is too long", self.tokens[_MOST])

    @property
    def now(self) -> Token:
        return self.tokens[self.place]

    def take(self, *texts: str) -> bool:
        """Step over the next word if it is one of these."""
        if self.now.text in texts and self.now.kind != "end":
            self.place += 1
            return True
        return False

    def demand(self, text: str) -> None:
        if not self.take(text):
            found = repr(self.now.text) if self.now.text else "the end"
            raise self.error(f"expected {text!r}, not {found}")

    def error(self, message: str, token: Token | None = None) -> Exception:
        return wrong(self.text, (token or self.now).column, message)

    def rule(self) -> Line:
        first = self.now.text
        severity = first if self.take(*SEVERITIES) else "warning"
        name = ""
        if self.now.kind == "word" and self.tokens[self.place + 1].text == ":":
            name = self.now.text
            if "." in name:
                raise self.error("a rule's name has no dots")
            self.place += 2
        begin = self.now
        condition = self.either()
        said = self.text[begin.column : self.now.column].strip()
        if not _holds(condition):
            raise self.error("this is no condition: compare it, as > 50", begin)
        hold, keep, on = 0.0, None, []
        while self.now.kind != "end":
            if self.take("for"):
                hold = self.duration()
            elif self.take("keep"):
                keep = self.duration()
            elif self.take("on"):
                on.append(self.target(condition))
                while self.take(","):
                    on.append(self.target(condition))
            else:
                near = nearest(self.now.text, _WORDS, cutoff=0.6)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                message = f"{self.now.text!r} is not expected here{hint}"
                raise self.error(message)
        return Line(condition, said, severity, name, hold, keep, tuple(on))

    def target(self, condition: Node) -> str:
        token = self.now
        if token.kind == "end":
            raise self.error("expected the name of a stage or queue after 'on'")
        if scope(condition) == PROCESS:
            raise self.error("this rule is about the process: it takes no 'on'", token)
        self.place += 1
        return token.text

    def duration(self) -> float:
        token = self.now
        if token.kind != "duration":
            raise self.error(f"expected a duration such as 5m, not {token.text!r}")
        if not 0 < token.value <= _LONGEST:
            raise self.error("a duration is above 0 and at most 30d")
        self.place += 1
        return token.value

    def either(self) -> Node:
        left = self.both()
        while True:
            token = self.now
            if not self.take("or"):
                return left
            left = self.joined("or", left, self.both(), token)

    def both(self) -> Node:
        left = self.comparison()
        while True:
            token = self.now
            if not self.take("and", "unless"):
                return left
            left = self.joined(token.text, left, self.comparison(), token)

    def joined(self, word: str, left: Node, right: Node, token: Token) -> Node:
        for side in (left, right):
            if not _holds(side):
                message = f"{word!r} joins conditions: compare both sides"
                raise self.error(message, token)
        self.same(left, right, token)
        return Logic(word, left, right)

    def same(self, left: Node, right: Node, token: Token) -> None:
        """Refuse to mix what is about a stage with what is about a queue."""
        kinds = {scope(side) for side in (left, right) if looks(side)}
        if len(kinds - {PROCESS}) > 1:
            message = (
                "one side is about stages, the other about queues; stage.waiting has "
                "the events that wait for a stage"
            )
            raise self.error(message, token)
        if len(kinds) > 1 and token.text not in {"and", "unless"}:
            message = "one side is about the process: only and, unless join these"
            raise self.error(message, token)

    def comparison(self) -> Node:
        left = self.sum()
        token = self.now
        if not self.take(*_COMPARISONS):
            return left
        right = self.sum()
        self.same(left, right, token)
        return Compare(token.text, left, right)

    def sum(self) -> Node:
        left = self.product()
        while True:
            token = self.now
            if not self.take("+", "-", "else"):
                return left
            left = self.arithmetic(token, left, self.product())

    def product(self) -> Node:
        left = self.atom()
        while True:
            token = self.now
            if not self.take("*", "/"):
                return left
            left = self.arithmetic(token, left, self.atom())

    def arithmetic(self, token: Token, left: Node, right: Node) -> Node:
        for side in (left, right):
            if _holds(side):
                raise self.error(f"{token.text!r} takes numbers on both sides", token)
        self.same(left, right, token)
        if isinstance(left, Number) and isinstance(right, Number):
            raise self.error("write the result of two numbers instead", token)
        return Binary(token.text, left, right)

    def atom(self) -> Node:
        token = self.now
        if self.take("("):
            self.depth += 1
            if self.depth > _DEEPEST:
                raise self.error("this is nested too deeply", token)
            inner = self.either()
            self.demand(")")
            self.depth -= 1
            return inner
        self.place += token.kind != "end"
        if token.kind == "number" and token.value > _LARGEST:
            raise self.error("this number is too large", token)
        if token.kind == "number":
            return Number(token.value)
        if token.kind == "duration":
            return Number(token.value, duration=True)
        if token.kind == "word" and token.text not in _WORDS:
            if self.take("("):
                return self.call(token)
            source = SOURCES.get(token.text.removeprefix("stagelight."))
            if source is not None:
                return Select(source)
            raise self.error(self.unknown(token.text, [*SOURCES]), token)
        found = repr(token.text) if token.text else "the end"
        raise self.error(f"expected a source or a number, not {found}", token)

    def unknown(self, text: str, known: list[str]) -> str:
        near = nearest(text, known)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        return f"unknown name {text!r}; {hint}"

    def argument(self) -> Node:
        """The first argument of a function: something that changes with time."""
        begin = self.now
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.error("this is nested too deeply", begin)
        inner = self.sum()
        self.depth -= 1
        if _holds(inner) or not looks(inner):
            raise self.error("expected something that changes with time", begin)
        return inner

    def call(self, token: Token) -> Node:
        name = token.text
        if name.removeprefix(USUAL) in RATIOS or name == BUSY:
            window = self.duration()
            self.demand(")")
            return ratio(name, window)
        if name not in RANGES and name not in {"most", "least", "absent"}:
            known = [*RANGES, *RATIOS, BUSY, "most", "least", "absent"]
            raise self.error(self.unknown(name, known), token)
        begin = self.now
        inner = self.argument()
        if name == "absent":
            self.demand(")")
            if not isinstance(inner, Select):
                raise self.error("absent() takes one source", begin)
            return Absent(inner.source)
        self.demand(",")
        if name in {"most", "least"}:
            second = self.now
            limit = self.atom()
            if not isinstance(limit, Number):
                raise self.error("the second is a number or a duration", second)
            self.demand(")")
            return Pick(name, inner, limit)
        counting = isinstance(inner, Select) and inner.source.counter
        if (name in {"rate", "increase"}) != counting:
            what = "only counters" if not counting else "no counters: take its rate"
            raise self.error(f"{name}() takes {what}", begin)
        window = self.duration()
        horizon = 0.0
        if name == "ahead":
            self.demand(",")
            horizon = self.duration()
        self.demand(")")
        return Range(name, inner, window, horizon)


def _holds(node: Node) -> bool:
    """Whether a tree is a condition."""
    return isinstance(node, (Compare, Logic, Absent))
