"""The rows about stagelight itself, and about what only detailed measures."""

from __future__ import annotations

from stagelight import _names, _own_names
from stagelight._grafana import _queries as q
from stagelight._grafana._panels import Panel, lines
from stagelight._promql import label


def detailed() -> list[Panel]:
    """What is measured at detail detailed only."""
    stage = f"{q.PIPELINE}, {q.STAGE}"
    name = "{{" + q.STAGE + "}}"
    return [
        lines(
            "Processor time",
            "Of the stage's calls, per second: beside busy it tells waiting from work.",
            "percentunit",
            (q.rate(_names.WORKER_CPU, stage), name),
        ),
        lines(
            "Batch size, p95",
            "Events in one call that took a list or set of them.",
            "short",
            (q.quantile(0.95, _names.BATCHES, stage), name),
        ),
    ]


def own() -> list[Panel]:
    """What stagelight costs."""
    part, level = label(_own_names.PART), label(_own_names.LEVEL)
    return [
        lines(
            "Processor time of stagelight",
            "In the workers, reckoned from samples, and in its own threads.",
            "percentunit",
            (q.rate(_own_names.TELEMETRY_TIME, part), f"{{{{{part}}}}}"),
        ),
        lines(
            "Share of the worst worker's busy time",
            "Above the budget for ten seconds it records less.",
            "percentunit",
            (q.total(_own_names.TELEMETRY_SHARE, "instance", "max"), "{{instance}}"),
        ),
        lines(
            "Detail",
            "How many processes record how much.",
            "short",
            (q.total(_own_names.TELEMETRY_DETAIL, level), f"{{{{{level}}}}}"),
        ),
    ]
