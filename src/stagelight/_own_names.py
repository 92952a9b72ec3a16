"""Names of what stagelight tells of itself: its levels of detail and its cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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

COUNTER: Final = "counter"
UP_DOWN: Final = "updowncounter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"


@dataclass(frozen=True)
class Metric:
    """One row of the metric table.

    Attributes:
        name: Full metric name.
        kind: ``counter``, ``updowncounter``, ``gauge`` or ``histogram``.
        unit: UCUM unit.
        attributes: Keys of its data points, in order.
        description: One sentence without a full stop.
    """

    name: str
    kind: str
    unit: str
    attributes: tuple[str, ...]
    description: str


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
