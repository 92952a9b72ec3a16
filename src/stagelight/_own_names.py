"""Names of what stagelight tells of itself: its levels of detail and its cost."""

from __future__ import annotations

from typing import Final

from stagelight._metric import COUNTER, GAUGE, UP_DOWN, Metric

BASIC: Final = "basic"
NORMAL: Final = "normal"
DETAILED: Final = "detailed"
#: From the least to the most.
LEVELS: Final = (BASIC, NORMAL, DETAILED)

LEVEL: Final = "stagelight.telemetry.level"
LEVEL_BEFORE: Final = "stagelight.telemetry.level.previous"
REASON: Final = "stagelight.telemetry.reason"
COST_SHARE: Final = "stagelight.telemetry.cost.share"
COST_BUDGET: Final = "stagelight.telemetry.cost.budget"
PART: Final = "stagelight.telemetry.part"
#: Parts of the cost: in the workers' own threads, and in ours and the exporters'.
RECORDING: Final = "recording"
BACKGROUND: Final = "background"

DETAIL_EVENT: Final = "stagelight.telemetry.detail_changed"

TELEMETRY_TIME: Final = Metric(
    "stagelight.telemetry.time",
    COUNTER,
    "s",
    (PART,),
    "Processor time that stagelight takes: in the workers, and in its own threads",
)
TELEMETRY_SHARE: Final = Metric(
    "stagelight.telemetry.share",
    GAUGE,
    "1",
    (),
    "Largest share of a worker's busy time that recording took of late",
)
TELEMETRY_DETAIL: Final = Metric(
    "stagelight.telemetry.detail",
    UP_DOWN,
    "1",
    (LEVEL,),
    "How much is recorded: 1 for the level in force, 0 for every other",
)

METRICS: Final = (TELEMETRY_TIME, TELEMETRY_SHARE, TELEMETRY_DETAIL)
