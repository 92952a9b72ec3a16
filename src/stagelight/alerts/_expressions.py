"""A rule's condition as a tree, and its rendering as PromQL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Union

from stagelight.alerts._sources import ALL, LABELS, PROCESS, Source

#: What a range function is called in PromQL.
RANGES: Final = {
    "rate": "rate",
    "increase": "increase",
    "changes": "changes",
    "floor": "min_over_time",
    "peak": "max_over_time",
    "mean": "avg_over_time",
    "slope": "deriv",
    "ahead": "predict_linear",
}


@dataclass(frozen=True)
class Number:
    """A number; a duration stretches with the time scale."""

    value: float
    duration: bool = False


@dataclass(frozen=True)
class Select:
    """The present value of a source."""

    source: Source


@dataclass(frozen=True)
class Range:
    """A function over the last ``window`` seconds of something."""

    function: str
    inner: Node
    window: float
    horizon: float = 0.0


@dataclass(frozen=True)
class Named:
    """A ratio that has a name, such as ``service(5m)``."""

    name: str
    window: float
    inner: Node


@dataclass(frozen=True)
class Binary:
    """Arithmetic, or ``else``: the right side where the left one does not exist."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Pick:
    """The larger or the smaller of two."""

    function: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Compare:
    """The left side, where the comparison holds."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Logic:
    """The left side, where the right one holds (``unless``: does not), or either."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Absent:
    """1 where a source that there was is no more."""

    source: Source


Node = Union[  # noqa: UP007 - evaluated at run time, also by Python 3.10
    Number, Select, Range, Named, Binary, Pick, Compare, Logic, Absent
]


def scope(node: Node) -> str:
    """What a tree is about: a stage or queue where any part of it is.

    Args:
        node: A tree.
    """
    if isinstance(node, Absent):
        return ALL
    if isinstance(node, Select):
        return PROCESS if node.source.scope == ALL else node.source.scope
    found = map(scope, children(node))
    return next((one for one in found if one not in {PROCESS, ALL}), PROCESS)


def children(node: Node) -> list[Node]:
    """The parts of a tree's root.

    Args:
        node: A tree.
    """
    if isinstance(node, (Binary, Pick, Compare, Logic)):
        return [node.left, node.right]
    if isinstance(node, (Range, Named)):
        return [node.inner]
    return []


def looks(node: Node) -> bool:
    """Whether a tree looks at any source.

    Args:
        node: A tree.
    """
    if isinstance(node, (Select, Absent)):
        return True
    if isinstance(node, Binary) and node.operator == "else":
        return looks(node.left)  # else the right side is never looked at
    return any(map(looks, children(node)))


def sources(node: Node, seen: frozenset[str] = frozenset()) -> list[Source]:
    """Every source that a tree looks at, in order.

    Args:
        node: A tree.
        seen: Sources that exist: what would stand in for them is left out.
    """
    if isinstance(node, (Select, Absent)):
        return [node.source]
    parts = children(node)
    if isinstance(node, Binary) and node.operator == "else":
        first = sources(node.left, seen)
        if seen.issuperset(source.name for source in first):
            return first
    return [source for child in parts for source in sources(child, seen)]


def stretched(node: Node, scale: float) -> Node:
    """A tree with all of its durations multiplied.

    Args:
        node: A tree.
        scale: 1/60 makes minutes of hours.
    """
    if isinstance(node, Number):
        return Number(node.value * scale, duration=True) if node.duration else node
    if isinstance(node, Range):
        inner = stretched(node.inner, scale)
        return Range(node.function, inner, node.window * scale, node.horizon * scale)
    if isinstance(node, Named):
        return Named(node.name, node.window * scale, stretched(node.inner, scale))
    if isinstance(node, (Select, Absent)):
        return node
    left, right = stretched(node.left, scale), stretched(node.right, scale)
    if isinstance(node, Pick):
        return Pick(node.function, left, right)
    return type(node)(node.operator, left, right)


def clock(seconds: float) -> str:
    """A duration as PromQL writes it, to the millisecond.

    Args:
        seconds: At least a millisecond.
    """
    left = max(round(seconds * 1000), 1)
    text = ""
    units = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
    for unit, size in units:
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text


@dataclass
class PromQL:
    """Renders trees, and collects the series that have to be recorded for them.

    Attributes:
        matcher: Label matcher of what a rule is restricted to.
        recorded: Name of a recorded series to its query, in order.
    """

    matcher: str = ""
    recorded: dict[str, str] = field(default_factory=dict)

    def render(self, node: Node) -> str:  # noqa: PLR0911 - one for each kind
        """The query of a tree; it has exactly the labels of its scope.

        Args:
            node: A tree.
        """
        if isinstance(node, Number):
            return f"{node.value:.10g}"
        if isinstance(node, Select):
            return self._together(node.source, self._selector(node.source))
        if isinstance(node, Absent):
            return f"absent({self._selector(node.source)})"
        if isinstance(node, Named):
            return self.render(node.inner)
        if isinstance(node, Range):
            return self._range(node)
        left, right = self.render(node.left), self.render(node.right)
        if isinstance(node, Pick):
            return _picked(node, left, right)
        if isinstance(node, Binary):
            word = "or" if node.operator == "else" else node.operator
            return f"({left} {word} {right})"
        if isinstance(node, Compare):
            return f"{left} {node.operator} {right}"
        mixed = PROCESS in {scope(node.left), scope(node.right)}
        if scope(node.left) == scope(node.right) or node.operator == "or" or not mixed:
            return f"({left}) {node.operator} ({right})"
        labels = ", ".join(LABELS[PROCESS])
        return f"({left}) {node.operator} on ({labels}) ({right})"

    def _selector(self, source: Source) -> str:
        if not self.matcher or source.scope == PROCESS:
            return source.selector
        name, brace, rest = source.selector.partition("{")
        inside = f"{rest[:-1]}, {self.matcher}" if brace else self.matcher
        return f"{name}{{{inside}}}"

    def _together(self, source: Source, query: str) -> str:
        return f"{source.together} by ({', '.join(LABELS[source.scope])}) ({query})"

    def _range(self, node: Range) -> str:
        more = f", {node.horizon:.10g}" if node.function == "ahead" else ""
        name, window = RANGES[node.function], clock(node.window)
        if isinstance(node.inner, Select):
            source = node.inner.source
            query = f"{name}({self._selector(source)}[{window}]{more})"
            return self._together(source, query)
        series = self._recorded(node.inner)
        if self.matcher:
            series += f"{{{self.matcher}}}"
        return f"{name}({series}[{window}]{more})"

    def _recorded(self, node: Node) -> str:
        """The name of the recorded series of a tree: recorded for all, chosen later."""
        name = f"{scope(node)}:stagelight_{_slug(node)}"
        whole = PromQL(recorded=self.recorded)
        query = whole.render(node)  # what it needs itself goes before it
        self.recorded.setdefault(name, query)
        return name


def _picked(node: Pick, left: str, right: str) -> str:
    function = "clamp_min" if node.function == "most" else "clamp_max"
    return f"{function}({left}, {right})"


def _slug(node: Node) -> str:
    if isinstance(node, Named):
        return f"{node.name}:{clock(node.window)}"
    if isinstance(node, Range):
        return f"{_slug(node.inner)}:{node.function}_{clock(node.window)}"
    if isinstance(node, (Select, Absent)):
        return re.sub(r"\W", "_", node.source.name)
    if isinstance(node, Number):
        return re.sub(r"\W", "_", f"{node.value:.10g}")
    words = {"+": "plus", "-": "minus", "*": "times", "/": "per"}
    if isinstance(node, Pick):
        word = node.function
    else:
        word = words.get(node.operator, node.operator)
    return f"{_slug(node.left)}_{word}_{_slug(node.right)}"
