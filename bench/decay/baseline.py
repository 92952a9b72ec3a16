"""R0: the thresholds that are usual in the field, in the same language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagelight.alerts._rule import user_rule

if TYPE_CHECKING:
    from stagelight.alerts._rule import Rule

#: The 95th percentile of the latency is not in recordings: the oldest event's age
#: passes 5 seconds no later.
LINES = (
    "QueueNearlyFull: queue.size > 80% * queue.capacity for 1m",
    "MemoryNearlyFull: process.memory.usage > 90% * process.memory.limit for 5m",
    "ManyErrors: failure_ratio(5m) > 5% for 15m",
    "SlowLatency: queue.oldest.age > 5s for 5m",
    (
        "NoOutput: increase(stage.process.duration.count, 5m) == 0 "
        "and stage.inflight.age > 60s for 5m"
    ),
)


def collapse_rules() -> list[Rule]:
    """The usual thresholds."""
    return [user_rule(line) for line in LINES]
