"""Metrics of the process itself, of its alerts, and of telemetry's own health."""

from __future__ import annotations

from typing import Final

from stagelight._metric import COUNTER, GAUGE, UP_DOWN, Metric

SIGNAL: Final = "stagelight.signal"
PLACE: Final = "stagelight.telemetry.place"
ALERT: Final = "stagelight.alert.name"
SEVERITY: Final = "stagelight.alert.severity"

MEMORY: Final = Metric(
    "process.memory.usage",  # the semantic conventions' own
    UP_DOWN,
    "By",
    (),
    "Resident memory of the process",
)
MEMORY_LIMIT: Final = Metric(
    "process.memory.limit",
    UP_DOWN,
    "By",
    (),
    "Memory that the process may use: its cgroup's limit, or the machine's",
)
UPTIME: Final = Metric(
    "process.uptime",  # the semantic conventions' own
    GAUGE,
    "s",
    (),
    "Time since the process began to record",
)
GC_PAUSE: Final = Metric(
    "process.gc.pause.time",
    COUNTER,
    "s",
    (),
    "Time that the garbage collector held the process up",
)
ALERT_STATUS: Final = Metric(
    "stagelight.alert.status",
    GAUGE,
    "1",
    (
        ALERT,
        SEVERITY,
        "stagelight.pipeline.name",
        "stagelight.stage.name",
        "stagelight.queue.name",
    ),
    "Is 1 while the alert fires, 0 once it has resolved; where rules are evaluated",
)
TELEMETRY_DROPPED: Final = Metric(
    "stagelight.telemetry.dropped",
    COUNTER,
    "{item}",
    (SIGNAL,),
    "Telemetry items that were lost on their way out",
)
TELEMETRY_ERRORS: Final = Metric(
    "stagelight.telemetry.errors",
    COUNTER,
    "{error}",
    (PLACE,),
    "Errors inside stagelight itself, which the pipeline never sees",
)
