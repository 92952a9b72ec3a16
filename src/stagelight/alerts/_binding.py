"""Rules' trees as functions of a moment, one for all stages, queues or processes.

A function reads from a row, which each stage, queue or process has of its own: so what
is held for each is its series, and not one function more. What does not exist is NaN,
so that no comparison with it holds: PromQL's empty result.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import lru_cache
from math import inf, nan
from typing import TYPE_CHECKING, Any, Final

from stagelight.alerts._expressions import (
    Absent,
    Compare,
    Logic,
    Named,
    Node,
    Number,
    Pick,
    Range,
    Select,
)
from stagelight.alerts._sources import PROCESS
from stagelight.alerts._windows import STALE, Extreme, Samples, Track

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Row = list[Any]
    Value = Callable[[Row, float], float]

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_SIGNS: Final = {"floor": 1, "peak": -1}


class Entity:
    """A stage, a queue, or a process: its series, and what is recorded of them.

    Args:
        scope: What it is.
        labels: Its labels, which are its identity.
        process: The process that it belongs to; itself, where it is one.
    """

    __slots__ = ("labels", "plan", "process", "recorded", "row", "scope", "tracks")

    def __init__(
        self, scope: str, labels: dict[str, str], process: Entity | None = None
    ) -> None:
        self.scope = scope
        self.labels = labels
        self.process = process or self
        self.tracks: dict[str, Track] = {}
        self.recorded: dict[Node, Track] = {}
        self.plan: Plan | None = None
        self.row: Row = []

    def track(self, name: str, *, counter: bool) -> Track:
        """The series of a source, made on its first use.

        Args:
            name: Name of the source.
            counter: Whether it only grows.
        """
        found = self.tracks.get(name)
        if found is None:
            found = self.tracks[name] = Track(counter=counter)
        return found

    def follow(self, plan: Plan) -> None:
        """Keep what a plan reads, from now on.

        Args:
            plan: It.
        """
        self.plan = plan
        self.row = plan.row(self)

    def record(self, now: float) -> None:
        """Compute what rules need a history of.

        Args:
            now: Time in seconds.
        """
        if self.plan is not None:
            for compute, place in self.plan.recorders:
                value = compute(self.row, now)
                if value == value:  # noqa: PLR0124 - not NaN
                    self.row[place].push(now, value)


@dataclass(frozen=True, slots=True)
class _Need:
    """What a function reads: a series, or (with a window) its samples or extremes."""

    of: Node
    window: float = 0.0
    sign: int = 0

    def found(self, entity: Entity) -> Track | Samples | Extreme:
        track = _track(self.of, entity)
        if self.sign:
            return track.extreme(self.window, self.sign)
        return track.over(self.window) if self.window else track


def _track(node: Node, entity: Entity) -> Track:
    if isinstance(node, (Select, Absent)):
        source = node.source
        owner = entity.process if source.scope == PROCESS else entity
        return owner.track(source.name, counter=source.counter)
    found = entity.recorded.get(node)
    if found is None:
        found = entity.recorded[node] = Track()
    return found


class Plan:
    """The functions of some trees, and what they read.

    Args:
        trees: They.

    Attributes:
        functions: One for each tree, in their order.
        recorders: What computes the histories that they need, and their places.
    """

    def __init__(self, trees: Iterable[Node]) -> None:
        self._needs: dict[_Need, int] = {}
        self._known: dict[Node, Value] = {}
        self.recorders: list[tuple[Value, int]] = []
        self.functions = [self._bound(tree) for tree in trees]

    def row(self, entity: Entity) -> Row:
        """What the functions read of a stage, queue or process.

        Args:
            entity: It.
        """
        return [need.found(entity) for need in self._needs]

    def _bound(self, node: Node) -> Value:
        # Rules have much in common.
        found = self._known.get(node)
        if found is None:
            found = self._known[node] = self._function(node)
        return found

    def _place(self, need: _Need) -> int:
        return self._needs.setdefault(need, len(self._needs))

    def _function(self, node: Node) -> Value:  # noqa: PLR0911 - one for each kind
        if isinstance(node, Number):
            constant = node.value
            return lambda _row, _now: constant
        if isinstance(node, (Select, Absent)):
            read = _present if isinstance(node, Select) else _gone
            return read(self._place(_Need(node)))
        if isinstance(node, Named):
            return self._bound(node.inner)
        if isinstance(node, Range):
            return self._range(node)
        left, right = self._bound(node.left), self._bound(node.right)
        if isinstance(node, Compare):
            return _compared(_COMPARE[node.operator], left, right)
        if isinstance(node, Logic):
            return _LOGIC[node.operator](left, right)
        if isinstance(node, Pick):
            pick = max if node.function == "most" else min
            return lambda row, now: pick(left(row, now), right(row, now))
        return _ARITHMETIC[node.operator](left, right)

    def _range(self, node: Range) -> Value:
        inner = node.inner
        if not isinstance(inner, Select):
            compute = self._bound(inner)  # records what it needs itself before
            history = _Need(inner)
            if history not in self._needs:
                self.recorders.append((compute, self._place(history)))
        sign = _SIGNS.get(node.function, 0)
        place = self._place(_Need(inner, node.window, sign))
        if node.function == "ahead":
            return _ahead(place, node.horizon)
        return _RANGES[node.function](place)


@lru_cache(64)
def _alone(node: Node) -> Plan:
    return Plan([node])


def value(node: Node, entity: Entity, now: float) -> float:
    """What a tree is for one stage, queue or process, of whose rules it is a part.

    Args:
        node: A tree.
        entity: Whose series it reads.
        now: Time in seconds.
    """
    plan = _alone(node)
    return plan.functions[0](plan.row(entity), now)


def _present(place: int) -> Value:
    def present(row: Row, now: float) -> float:
        track: Track = row[place]
        return track.last if now - track.at <= STALE else nan

    return present


def _gone(place: int) -> Value:
    def gone(row: Row, now: float) -> float:
        return 1.0 if STALE < now - row[place].at < STALE * 1e6 else nan

    return gone


def _ahead(place: int, horizon: float) -> Value:
    def ahead(row: Row, now: float) -> float:
        slope, level = row[place].line(now)
        return float(level + slope * horizon)

    return ahead


def _compared(
    compare: Callable[[float, float], bool], left: Value, right: Value
) -> Value:
    def compared(row: Row, now: float) -> float:
        value = left(row, now)
        if value != value:  # noqa: PLR0124 - NaN
            return nan
        limit = right(row, now)
        holds = limit == limit and compare(value, limit)  # noqa: PLR0124 - not NaN
        return value if holds else nan

    return compared


def _and(left: Value, right: Value) -> Value:
    def both(row: Row, now: float) -> float:
        value = left(row, now)
        if value != value:  # noqa: PLR0124 - NaN
            return nan
        other = right(row, now)
        return value if other == other else nan  # noqa: PLR0124 - not NaN

    return both


def _unless(left: Value, right: Value) -> Value:
    def unless(row: Row, now: float) -> float:
        value = left(row, now)
        if value != value:  # noqa: PLR0124 - NaN
            return nan
        other = right(row, now)
        return nan if other == other else value  # noqa: PLR0124 - not NaN

    return unless


def _or(left: Value, right: Value) -> Value:
    def either(row: Row, now: float) -> float:
        value = left(row, now)
        return value if value == value else right(row, now)  # noqa: PLR0124 - not NaN

    return either


def _divided(left: Value, right: Value) -> Value:
    def divided(row: Row, now: float) -> float:
        part, whole = left(row, now), right(row, now)
        if whole:
            return part / whole
        return inf if part > 0 else nan

    return divided


_RANGES: Final[dict[str, Callable[[int], Value]]] = {
    "floor": lambda place: lambda row, now: row[place].value(now),
    "peak": lambda place: lambda row, now: row[place].value(now),
    "rate": lambda place: lambda row, now: row[place].rate(now),
    "increase": lambda place: lambda row, now: row[place].increase(now),
    "changes": lambda place: lambda row, now: row[place].changes(now),
    "mean": lambda place: lambda row, now: row[place].mean(now),
    "slope": lambda place: lambda row, now: row[place].line(now)[0],
}
_LOGIC: Final = {"and": _and, "unless": _unless, "or": _or}
_ARITHMETIC: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "+": lambda left, right: lambda row, now: left(row, now) + right(row, now),
    "-": lambda left, right: lambda row, now: left(row, now) - right(row, now),
    "*": lambda left, right: lambda row, now: left(row, now) * right(row, now),
    "/": _divided,
    "else": _or,
}
