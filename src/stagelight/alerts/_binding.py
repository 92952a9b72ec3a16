"""A rule's tree bound to one stage, queue or process: a function of the time.

What does not exist is NaN, so that no comparison with it holds: PromQL's empty result.
"""

from __future__ import annotations

import operator
from functools import cache, partial
from math import inf, nan
from typing import TYPE_CHECKING, Final

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
from stagelight.alerts._windows import STALE, Track

if TYPE_CHECKING:
    from collections.abc import Callable

    Value = Callable[[float], float]

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


class Entity:
    """A stage, a queue, or a process: its series, and what is recorded of them.

    Args:
        scope: What it is.
        labels: Its labels, which are its identity.
        process: The process that it belongs to; itself, where it is one.
    """

    def __init__(
        self, scope: str, labels: dict[str, str], process: Entity | None = None
    ) -> None:
        self.scope = scope
        self.labels = labels
        self.process = process or self
        self.tracks: dict[str, Track] = {}
        self.recorded: dict[Node, Track] = {}
        self.recorders: list[tuple[Value, Track]] = []

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

    def record(self, now: float) -> None:
        """Compute what rules need a history of.

        Args:
            now: Time in seconds.
        """
        for compute, track in self.recorders:
            value = compute(now)
            if value == value:  # noqa: PLR0124 - not NaN
                track.push(now, value)


def bind(node: Node, entity: Entity, known: dict[Node, Value] | None = None) -> Value:
    """The function of a tree for one entity.

    Args:
        node: A tree.
        entity: Whose series it reads.
        known: Functions of this entity that are there already, and takes new ones:
            rules have much in common.
    """
    known = {} if known is None else known
    found = known.get(node)
    if found is None:
        found = known[node] = _bind(node, entity, known)
    return found


def _bind(  # noqa: PLR0911 - one for each kind
    node: Node, entity: Entity, known: dict[Node, Value]
) -> Value:
    if isinstance(node, Number):
        return _constant(node.value)
    if isinstance(node, Select):
        return _present(_track(node, entity))
    if isinstance(node, Absent):
        return _gone(_track(node, entity))
    if isinstance(node, Named):
        return bind(node.inner, entity, known)
    if isinstance(node, Range):
        return _range(node, entity, known)
    left, right = bind(node.left, entity, known), bind(node.right, entity, known)
    if isinstance(node, Compare):
        # Without cells it takes half the memory, of which comparisons need most.
        return partial(_compared, _COMPARE[node.operator], left, right)
    if isinstance(node, Logic):
        return _LOGIC[node.operator](left, right)
    if isinstance(node, Pick):
        pick = max if node.function == "most" else min
        return lambda now: pick(left(now), right(now))
    return _ARITHMETIC[node.operator](left, right)


def _track(node: Select | Absent, entity: Entity) -> Track:
    source = node.source
    owner = entity.process if source.scope == PROCESS else entity
    return owner.track(source.name, counter=source.counter)


def _present(track: Track) -> Value:
    return lambda now: track.last if now - track.at <= STALE else nan


def _gone(track: Track) -> Value:
    def gone(now: float) -> float:
        return 1.0 if STALE < now - track.at < STALE * 1e6 else nan

    return gone


def _range(node: Range, entity: Entity, known: dict[Node, Value]) -> Value:
    inner = node.inner
    if isinstance(inner, Select):
        track = _track(inner, entity)
    else:
        found = entity.recorded.get(inner)
        if found is None:
            compute = bind(inner, entity, known)  # records what it needs itself before
            found = entity.recorded[inner] = Track()
            entity.recorders.append((compute, found))
        track = found
    if node.function in {"floor", "peak"}:
        sign = 1 if node.function == "floor" else -1
        return track.extreme(node.window, sign).value
    samples = track.over(node.window)
    horizon = node.horizon
    if node.function == "slope":
        return lambda now: samples.line(now)[0]
    if node.function == "ahead":

        def ahead(now: float) -> float:
            slope, value = samples.line(now)
            return value + slope * horizon

        return ahead
    return {
        "rate": samples.rate,
        "increase": samples.increase,
        "changes": samples.changes,
        "mean": samples.mean,
    }[node.function]


@cache
def _constant(value: float) -> Value:
    return lambda _: value


def _compared(
    compare: Callable[[float, float], bool], left: Value, right: Value, now: float
) -> float:
    value = left(now)
    if value != value:  # noqa: PLR0124 - NaN
        return nan
    limit = right(now)
    return value if limit == limit and compare(value, limit) else nan  # noqa: PLR0124


def _and(left: Value, right: Value) -> Value:
    def both(now: float) -> float:
        value = left(now)
        if value != value:  # noqa: PLR0124 - NaN
            return nan
        other = right(now)
        return value if other == other else nan  # noqa: PLR0124 - not NaN

    return both


def _unless(left: Value, right: Value) -> Value:
    def unless(now: float) -> float:
        value = left(now)
        if value != value:  # noqa: PLR0124 - NaN
            return nan
        other = right(now)
        return nan if other == other else value  # noqa: PLR0124 - not NaN

    return unless


def _or(left: Value, right: Value) -> Value:
    def either(now: float) -> float:
        value = left(now)
        return value if value == value else right(now)  # noqa: PLR0124 - not NaN

    return either


def _divided(left: Value, right: Value) -> Value:
    def divided(now: float) -> float:
        part, whole = left(now), right(now)
        if whole:
            return part / whole
        return inf if part > 0 else nan

    return divided


_LOGIC: Final = {"and": _and, "unless": _unless, "or": _or}
_ARITHMETIC: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "+": lambda left, right: lambda now: left(now) + right(now),
    "-": lambda left, right: lambda now: left(now) - right(now),
    "*": lambda left, right: lambda now: left(now) * right(now),
    "/": _divided,
    "else": _or,
}
