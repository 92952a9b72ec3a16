"""Rules over samples: pending, firing, resolved, exactly as Prometheus steps.

It knows nothing of where the samples come from: this process, or a recording.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stagelight import _names
from stagelight._promql import label
from stagelight.alerts._binding import Entity, Plan
from stagelight.alerts._expressions import sources
from stagelight.alerts._sources import ALL, PROCESS, QUEUE, SOURCES, STAGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stagelight.alerts._binding import Value
    from stagelight.alerts._rule import Rule

PENDING: Final = "pending"
FIRING: Final = "firing"
RESOLVED: Final = "resolved"
PIPELINE_LABEL: Final = label(_names.PIPELINE)
STAGE_LABEL: Final = label(_names.STAGE)
QUEUE_LABEL: Final = label(_names.QUEUE)


@dataclass(slots=True)
class Standing:
    """One alert: a rule that holds, or held, for one stage, queue or process.

    Attributes:
        rule: The rule.
        labels: Labels of the alert, the same as Prometheus gives it.
        state: ``pending``, ``firing`` or ``resolved``.
        since: When the condition began to hold.
        value: Its value when it held last.
        fired: When it began to fire, None while pending.
        ended: When it was resolved, None before.
        entity: Whose series it was computed from.
    """

    rule: Rule
    labels: dict[str, str]
    state: str
    since: float
    value: float
    entity: Entity
    fired: float | None = None
    ended: float | None = None
    kept: float | None = None

    @property
    def name(self) -> str:
        """The stage or queue that it is about, "" for a process."""
        return self.labels.get(STAGE_LABEL) or self.labels.get(QUEUE_LABEL, "")

    @property
    def pipeline(self) -> str:
        """The pipeline that it is about, "" for a process."""
        return self.labels.get(PIPELINE_LABEL, "")


@dataclass(slots=True)
class _Bound:
    rule: Rule
    entity: Entity
    holds: Value
    standing: Standing | None = None


@dataclass
class Changes:
    """What one evaluation brought.

    Attributes:
        fired: Alerts that began to fire.
        resolved: Alerts that ended.
    """

    fired: list[Standing] = field(default_factory=list)
    resolved: list[Standing] = field(default_factory=list)


class Evaluator:
    """The rules, and all series that they need.

    Args:
        rules: What to evaluate, in the order of their importance.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = list(rules)
        self._wanted = {
            source.name for rule in self.rules for source in sources(rule.condition)
        }
        self._seen: set[str] = set()
        self._entities: dict[tuple[str, ...], Entity] = {}
        self._bound: list[_Bound] = []
        self._plans: dict[tuple[int, ...], Plan] = {}
        self._everything = Entity(ALL, {})
        self._attach(self._everything)

    def wants(self, source: str) -> bool:
        """Whether any rule looks at a source.

        Args:
            source: Its name.
        """
        return source in self._wanted

    def add(  # noqa: PLR0913 - one sample
        self,
        now: float,
        source: str,
        value: float,
        *,
        pipeline: str = "",
        name: str = "",
        base: dict[str, str] | None = None,
    ) -> None:
        """Take one sample; a source that no rule looks at is ignored.

        Args:
            now: Time in seconds.
            source: Name of the source.
            value: Its value; a counter's is cumulative.
            pipeline: Name of the pipeline, "" for what is about the process.
            name: Name of the stage or queue.
            base: Labels of the process, such as ``job`` and ``instance``.
        """
        if source not in self._wanted:
            return
        self._seen.add(source)
        found = SOURCES[source]
        entity = self._entity(found.scope, pipeline, name, base or {})
        entity.track(source, counter=found.counter).push(now, value)
        gone = self._everything.tracks.get(source)
        if gone is not None:
            gone.at = now

    def tick(self, now: float) -> Changes:
        """Evaluate every rule.

        Args:
            now: Time in seconds, later than the last.

        Returns:
            What began and what ended with it.
        """
        for entity in self._entities.values():
            entity.record(now)
        changes = Changes()
        for bound in self._bound:
            value = bound.holds(bound.entity.row, now)
            if value == value:  # noqa: PLR0124 - not NaN
                _holding(bound, now, value, changes)
            elif bound.standing is not None:
                _not_holding(bound, now, changes)
        return changes

    def standing(self, state: str = FIRING) -> list[Standing]:
        """The alerts of one state, the gravest rules first.

        Args:
            state: ``firing`` or ``pending``.
        """
        found = [
            one.standing
            for one in self._bound
            if one.standing is not None and one.standing.state == state
        ]
        order = {rule.identity: number for number, rule in enumerate(self.rules)}
        return sorted(found, key=lambda one: order[one.rule.identity])

    def has(self, standing: Standing) -> bool:
        """Whether an alert is still known: its stage or queue may have gone.

        Args:
            standing: The alert.
        """
        return any(one.standing is standing for one in self._bound)

    def quiet(self) -> dict[str, list[str]]:
        """Rules that cannot fire, and the sources that nobody ever sent.

        A part of a rule may still work where it has alternatives.
        """
        found: dict[str, list[str]] = {}
        seen = frozenset(self._seen)
        for rule in self.rules:
            missing = {
                source.name
                for source in sources(rule.condition, seen)
                if source.name not in self._seen and source.name != "process.uptime"
            }
            if missing:
                found[rule.name] = sorted({*found.get(rule.name, ()), *missing})
        return found

    def entity(self, scope: str, pipeline: str = "", name: str = "") -> Entity | None:
        """A stage, queue or process that was seen.

        Args:
            scope: What it is.
            pipeline: Its pipeline.
            name: Its name.
        """
        return next(
            (
                one
                for one in self._entities.values()
                if one.scope == scope
                and one.labels.get(PIPELINE_LABEL, "") == pipeline
                and name in {*one.labels.values(), ""}
            ),
            None,
        )

    def forget(self, keep: set[tuple[str, str, str]]) -> None:
        """Drop stages and queues that are no more.

        Args:
            keep: Scope, pipeline and name of those that are.
        """
        gone = {
            key
            for key, one in self._entities.items()
            if one.scope != PROCESS and key[:3] not in keep
        }
        for key in gone:
            entity = self._entities.pop(key)
            self._bound = [one for one in self._bound if one.entity is not entity]

    def _entity(
        self, scope: str, pipeline: str, name: str, base: dict[str, str]
    ) -> Entity:
        identity = tuple(base.values())
        key = (PROCESS, "", "", *identity)
        if scope != PROCESS:
            key = (scope, pipeline, name, *identity)
        found = self._entities.get(key)
        if found is not None:
            return found
        if scope == PROCESS:
            found = Entity(PROCESS, dict(base))
        else:
            process = self._entity(PROCESS, "", "", base)
            named = {STAGE: STAGE_LABEL, QUEUE: QUEUE_LABEL}[scope]
            labels = {**base, PIPELINE_LABEL: pipeline, named: name}
            found = Entity(scope, labels, process)
        self._entities[key] = found
        self._attach(found, name)
        return found

    def _attach(self, entity: Entity, name: str = "") -> None:
        numbers = tuple(
            number
            for number, rule in enumerate(self.rules)
            if rule.scope == entity.scope and rule.covers(name)
        )
        rules = [self.rules[number] for number in numbers]
        plan = self._plans.get(numbers)
        if plan is None:
            plan = self._plans[numbers] = Plan(rule.condition for rule in rules)
        entity.follow(plan)
        self._bound += [
            _Bound(rule, entity, holds)
            for rule, holds in zip(rules, plan.functions, strict=True)
        ]


def _holding(bound: _Bound, now: float, value: float, changes: Changes) -> None:
    standing = bound.standing
    rule = bound.rule
    if standing is None:
        labels = {"alertname": rule.name, "severity": rule.severity}
        standing = bound.standing = Standing(
            rule, {**labels, **bound.entity.labels}, PENDING, now, value, bound.entity
        )
    standing.value, standing.kept = value, None
    if standing.state == PENDING and now - standing.since >= rule.hold - 1e-6:
        standing.state, standing.fired = FIRING, now
        changes.fired.append(standing)


def _not_holding(bound: _Bound, now: float, changes: Changes) -> None:
    standing = bound.standing
    if standing is None:
        return
    if standing.state == FIRING:
        if standing.kept is None:
            standing.kept = now
        if now - standing.kept < bound.rule.keep - 1e-6:
            return
        standing.state, standing.ended = RESOLVED, now
        changes.resolved.append(standing)
    bound.standing = None
