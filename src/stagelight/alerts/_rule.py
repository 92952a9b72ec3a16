"""The one rule object, from which everything else is rendered."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase, translate
from functools import cached_property
from typing import TYPE_CHECKING, Final

from stagelight import _names
from stagelight._promql import label
from stagelight.alerts._expressions import (
    Compare,
    Logic,
    Node,
    Range,
    children,
    clock,
    scope,
    stretched,
)
from stagelight.alerts._parse import parse
from stagelight.alerts._sources import QUEUE, STAGE

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Where the runbook of a rule without one of its own is.
RUNBOOK: Final = "docs/alerts.md"
#: The cause of a rule of the user's.
USER: Final = "user rule"
#: Seconds for which an alert goes on after its condition, so that none repeats soon.
KEEP: Final = 600.0
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN: Final = re.compile(r"\{((?:\d+(?:\.\d+)?(?:ms|[smhd]))+)\}")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_ADDRESSED: Final = {
    STAGE: label(_names.STAGE),
    QUEUE: label(_names.QUEUE),
}


@dataclass(frozen=True)
class Rule:
    """When to tell whom of what.

    Attributes:
        name: ``alertname``.
        severity: ``warning`` or ``critical``.
        condition: When it holds.
        hold: Seconds that it has to hold before the alert fires.
        keep: Seconds that the alert goes on after it held last.
        on: Names or globs of stages or queues that it is for; none for all.
        off: Names or globs that another rule of its name takes over.
        summary: One line; ``{at}`` is the stage or queue.
        description: What it means, with ``{value}``, and what to look at; durations
            in braces, such as ``{15m}``, stretch with the time scale.
        unit: How ``{value}`` is shown: ``share``, ``seconds``, ``bytes`` or ``number``.
        cause: What is probably wrong, in one or two words.
        runbook: What to do, as an address.
        line: The condition as it was written.
    """

    name: str
    severity: str
    condition: Node
    hold: float = 0.0
    keep: float = KEEP
    on: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    summary: str = ""
    description: str = ""
    unit: str = "number"
    cause: str = ""
    runbook: str = RUNBOOK
    line: str = ""

    @cached_property
    def scope(self) -> str:
        """``stage``, ``queue``, ``process``, or ``all`` where it has no labels."""
        return scope(self.condition)

    @property
    def identity(self) -> tuple[str, str, tuple[str, ...]]:
        """What tells it from every other rule."""
        return self.name, self.severity, self.on

    def covers(self, name: str) -> bool:
        """Whether it is for a stage or queue of that name.

        Args:
            name: Its name; "" for a process.
        """
        if any(fnmatchcase(name, glob) for glob in self.off):
            return False
        return not self.on or any(fnmatchcase(name, glob) for glob in self.on)

    @property
    def matcher(self) -> str:
        """The PromQL matchers of what it is for, "" for all."""
        key = _ADDRESSED.get(self.scope, "")
        found = []
        if key and self.on:
            found.append(f'{key}=~"{_pattern(self.on)}"')
        if key and self.off:
            found.append(f'{key}!~"{_pattern(self.off)}"')
        return ", ".join(found)

    def scaled(self, scale: float) -> Rule:
        """The same rule with every duration multiplied.

        Args:
            scale: 1/60 makes minutes of hours.
        """
        return replace(
            self,
            condition=stretched(self.condition, scale),
            hold=self.hold * scale,
            keep=self.keep * scale,
            description=_SPAN.sub(
                lambda found: f"{{{clock(_seconds(found) * scale)}}}", self.description
            ),
        )

    def words(self, **values: str) -> tuple[str, str]:
        """Summary and description.

        Args:
            values: What stands for ``{at}`` and ``{value}``.
        """
        found = []
        for text in (self.summary, self.description):
            for word, value in values.items():
                text = text.replace(f"{{{word}}}", value)  # noqa: PLW2901
            found.append(_SPAN.sub(lambda one: _spelled(_seconds(one)), text))
        return found[0], found[1]

    def trend(self) -> tuple[Node, Node, Range] | None:
        """Value, limit and the prediction of where they meet, where it has one."""
        found = _predictions(self.condition)
        return (found[0].left, found[0].right, found[1]) if found else None

    def limit(self) -> Node | None:
        """What its value is compared with."""
        return next((one.right for one in _comparisons(self.condition)), None)


def _seconds(found: re.Match[str]) -> float:
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(found[1]))


def _spelled(seconds: float) -> str:
    return clock(seconds) if seconds >= 1 and seconds % 1 == 0 else f"{seconds:.3g} s"


def _comparisons(node: Node) -> list[Compare]:
    if isinstance(node, Compare):
        return [node]
    if isinstance(node, Logic):
        return _comparisons(node.left) + _comparisons(node.right)
    return []


def _predictions(node: Node) -> tuple[Compare, Range] | None:
    for comparison in _comparisons(node):
        for one in (comparison.left, *children(comparison.left)):
            if isinstance(one, Range) and one.function == "ahead":
                return comparison, one
    return None


def _pattern(globs: Iterable[str]) -> str:
    """A regular expression of globs, inside of PromQL's quotes."""
    return "|".join(_regex(glob) for glob in globs).replace("\\", "\\\\")


def _regex(glob: str) -> str:
    if re.fullmatch(r"[\w-]+", glob):
        return glob
    # Go's syntax has no atomic groups and no \Z, which newer Pythons write.
    inner = re.fullmatch(r"\(\?s:(.*)\)\\[zZ]", translate(glob), re.DOTALL)
    return inner[1] if inner else re.escape(glob)


def user_rule(text: str, number: int = 1) -> Rule:
    """A rule out of a line of the user's.

    Args:
        text: Such as ``queue.size > 50 for 1m on parsed``.
        number: Which of the user's rules it is, for its name.

    Raises:
        ConfigurationError: It cannot be read; the text points at the column.
    """
    line = parse(text)
    plain = text.replace("{", "(").replace("}", ")")
    return Rule(
        name=line.name or f"UserRule{number}",
        severity=line.severity,
        condition=line.condition,
        hold=line.hold,
        keep=KEEP if line.keep is None else line.keep,
        on=line.on,
        summary=f"{{at}}: {line.said}",
        description=f"The value is {{value}}. The rule is: {plain}",
        runbook=f"{RUNBOOK}#rules-of-your-own",
        cause=USER,
        line=text,
    )
