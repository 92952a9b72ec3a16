"""Which alert explains which: the cause is told, what it causes is not."""

from __future__ import annotations

import pytest

from stagelight.alerts import default_rules, user_rule
from stagelight.alerts._binding import Entity
from stagelight.alerts._evaluator import FIRING, Standing
from stagelight.alerts._inhibition import explained
from stagelight.alerts._sources import PROCESS, QUEUE

RULES = {(rule.name, rule.severity): rule for rule in default_rules()}
#: read -> [raw] -> parse -> [parsed] -> write
TAKERS = {"raw": ["parse"], "parsed": ["write"]}
AFTER = {"read": {"parse"}, "parse": {"write"}, "write": set()}


class Chain:
    """Three stages in a row, as the engine knows them."""

    def takers(self, _, queue):
        """Stages that take from a queue."""
        return TAKERS.get(queue, [])

    def downstream(self, _, stages):
        """All stages after these."""
        found = set()
        for one in stages:
            found |= AFTER[one] | self.downstream(_, AFTER[one])
        return found


def fires(rule, place, severity="warning"):
    """An alert of a rule (or of its name) at a stage or queue."""
    rule = RULES[rule, severity] if isinstance(rule, str) else rule
    labels = {"alertname": rule.name, "stagelight_pipeline_name": "p"}
    if rule.scope == QUEUE:
        labels["stagelight_queue_name"] = place
    elif rule.scope != PROCESS:
        labels["stagelight_stage_name"] = place
    entity = Entity(rule.scope, labels)
    return Standing(rule, labels, FIRING, 0.0, 1.0, entity, fired=0.0)


CASES = {
    "a slow stage explains the queue before it": (
        fires("StageServiceTimeDrift", "write"),
        fires("StageQueueFillingUp", "parsed"),
        True,
    ),
    "and the queues before that": (
        fires("StageServiceTimeDrift", "write"),
        fires("StageQueueFillingUp", "raw"),
        True,
    ),
    "the queue that fills explains those upstream": (
        fires("StageQueueFillingUp", "parsed"),
        fires("StageQueueFillingUp", "raw"),
        True,
    ),
    "never one downstream": (
        fires("StageServiceTimeDrift", "parse"),
        fires("StageQueueFillingUp", "parsed"),
        False,
    ),
    "nor failures of another stage": (
        fires("StageServiceTimeDrift", "write"),
        fires("StagePoison", "parse"),
        False,
    ),
    "a stuck worker explains busy ones": (
        fires("StageWorkerStuck", "write"),
        fires("StageSaturated", "write"),
        True,
    ),
    "retries explain that calls take longer": (
        fires("StageRetryBurn", "write"),
        fires("StageServiceTimeDrift", "write"),
        True,
    ),
    "a poison event explains the budget that it uses up": (
        fires("StagePoison", "write"),
        fires("StageErrorBudgetBurn", "write"),
        True,
    ),
    "loss explains the warnings of its queue": (
        fires("StageQueueFullSoon", "parsed", "critical"),
        fires("StageBacklogNotDraining", "parsed"),
        True,
    ),
    "no warning explains loss away": (
        fires("StageServiceTimeDrift", "write"),
        fires("StageQueueFullSoon", "parsed", "critical"),
        False,
    ),
    "the collector slows every stage": (
        fires("ProcessGcPauseShare", ""),
        fires("StageServiceTimeDrift", "write"),
        True,
    ),
    "a rule of one's own is always told": (
        fires("StageQueueFullSoon", "parsed", "critical"),
        fires(user_rule("queue.size > 5"), "parsed"),
        False,
    ),
    "and explains nothing": (
        fires(user_rule("critical queue.size > 5"), "parsed"),
        fires("StageQueueFillingUp", "parsed"),
        False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_explains_what(name):
    """Whichever comes first, and never both ways."""
    cause, victim, wanted = CASES[name]
    for order in ([cause, victim], [victim, cause]):
        found = explained(order, Chain())
        assert found == ({id(victim): cause} if wanted else {})
