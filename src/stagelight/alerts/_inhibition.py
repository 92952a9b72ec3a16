"""Which alerts explain others: the root cause is told, its victims are not.

A full queue pushes back, so its victims are upstream of it; a slow, failing or stuck
stage explains the queues before it and the workers of the stages that wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stagelight.alerts._evaluator import QUEUE_LABEL, STAGE_LABEL
from stagelight.alerts._rule import USER
from stagelight.alerts._sources import PROCESS, QUEUE

if TYPE_CHECKING:
    from stagelight.alerts._evaluator import Standing
    from stagelight.alerts._reading import Graph

CRITICAL: Final = "critical"
#: What a stage suffers, in place of what it does wrong.
_SYMPTOMS: Final = frozenset({"backlog", "saturated", "stalled"})
#: What makes each call of its own stage longer as well.
_SLOWING: Final = frozenset({"retries", "failures", "poison event", "stuck worker"})
_OF_PROCESS: Final = frozenset({"slow stage", "saturated", "backlog"})


def explained(standing: list[Standing], graph: Graph) -> dict[int, Standing]:
    """Alerts that another one explains, by their ``id``.

    Args:
        standing: The alerts that fire.
        graph: The pipelines.
    """
    found: dict[int, Standing] = {}
    for one in standing:
        for other in standing:
            if (
                other is not one
                and id(other) not in found
                # Whoever asks for a rule of his own wants to hear of it.
                and USER not in {one.rule.cause, other.rule.cause}
                and _explains(other, one, graph)
            ):
                found[id(one)] = other
                break
    return found


def stages_of(one: Standing, graph: Graph) -> list[str]:
    """The stages that an alert is about.

    Args:
        one: The alert.
        graph: The pipelines.
    """
    queue = one.labels.get(QUEUE_LABEL)
    if queue is not None:
        return graph.takers(one.pipeline, queue)
    return [one.labels[STAGE_LABEL]] if STAGE_LABEL in one.labels else []


def _explains(  # noqa: PLR0911 - one for each reason
    other: Standing, one: Standing, graph: Graph
) -> bool:
    """Whether one alert is a victim of another."""
    mine, theirs = stages_of(one, graph), stages_of(other, graph)
    if other.rule.scope == PROCESS:
        held_up = other.rule.cause == "garbage collector"
        return held_up and one.rule.cause in _OF_PROCESS
    if one.pipeline != other.pipeline or not mine or not theirs:
        return False
    grave = one.rule.severity == CRITICAL
    if grave and other.rule.severity != CRITICAL:
        return False  # that loss is near is said whatever explains it
    if set(mine) & set(theirs):
        if one.rule.scope == other.rule.scope and other.rule.severity == CRITICAL:
            return not grave
        if one.rule.cause == "slow stage":
            return other.rule.cause in _SLOWING
        if one.rule.cause == "failures":
            return other.rule.cause == "poison event"
        return one.rule.cause in _SYMPTOMS and other.rule.cause not in _SYMPTOMS
    if one.rule.cause not in _SYMPTOMS:
        return False
    behind = graph.downstream(one.pipeline, mine)
    if not behind & set(theirs):
        return False
    queues = QUEUE in {one.rule.scope, other.rule.scope}
    return other.rule.cause not in _SYMPTOMS or queues
