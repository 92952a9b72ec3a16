"""Recorded series: anybody's CSV through the rules.

The header is ``time,pipeline,stage,metric,value``: seconds, one row for each sample,
cumulative counters, and the instrument's name, with ``.count``, ``.sum`` or the state
appended. Pipeline and stage are empty for what is about the process.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Final

from stagelight._errors import ConfigurationError
from stagelight.alerts._evaluator import Evaluator
from stagelight.alerts._sources import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stagelight.alerts._evaluator import Standing
    from stagelight.alerts._rule import Rule

COLUMNS: Final = ("time", "pipeline", "stage", "metric", "value")
Sample = tuple[float, str, str, str, float]


def read(lines: Iterable[str]) -> Iterator[Sample]:
    """The samples of a recording, in its order.

    Args:
        lines: Its lines, the header first.

    Raises:
        ConfigurationError: A column is missing, or a time or value is no number.
    """
    rows = csv.DictReader(lines)
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise ConfigurationError(
            f"the recording lacks the column {missing[0]!r}; its header has to be "
            + ",".join(COLUMNS)
        )
    for row in rows:
        try:
            at, value = float(row["time"]), float(row["value"])
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"line {rows.line_num}: time and value have to be numbers, not "
                f"{row['time']!r} and {row['value']!r}"
            ) from None
        source = (row["metric"] or "").removeprefix("stagelight.")
        yield at, row["pipeline"] or "", row["stage"] or "", source, value


def score(
    samples: Iterable[Sample], rules: Iterable[Rule]
) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """Evaluate rules at every time of a recording.

    Args:
        samples: What ``read`` gives, in any order.
        rules: The rules.

    Returns:
        The alerts that fired, in order, and the rules that lacked an input.
    """
    evaluator = Evaluator(rules)
    found: list[dict[str, Any]] = []
    opened: dict[int, dict[str, Any]] = {}
    told: list[Standing] = []
    for now, batch in _moments(samples):
        for _, pipeline, stage, source, value in batch:
            if source in SOURCES:
                evaluator.add(now, source, value, pipeline=pipeline, name=stage)
            if source == "queue.size":  # a queue is called by the stage behind it
                evaluator.add(
                    now, "stage.waiting", value, pipeline=pipeline, name=stage
                )
        changes = evaluator.tick(now)
        order = {rule.identity: place for place, rule in enumerate(evaluator.rules)}
        for one in sorted(changes.fired, key=lambda one: order[one.rule.identity]):
            opened[id(one)] = {
                "alert": one.rule.name,
                "severity": one.rule.severity,
                "stage": one.name,
                "time": now,
                "resolved": None,
            }
            found.append(opened[id(one)])
            told.append(one)  # keeps its id its own
        for one in changes.resolved:
            opened[id(one)]["resolved"] = now
    return found, evaluator.quiet()


def _moments(samples: Iterable[Sample]) -> Iterator[tuple[float, list[Sample]]]:
    """Samples by time, and an uptime where a recording has none."""
    rows = sorted(samples, key=lambda row: row[0])
    known = any(source == "process.uptime" for _, _, _, source, _ in rows)
    begin = rows[0][0] if rows else 0.0
    batch: list[Sample] = []
    for row in rows:
        if batch and row[0] != batch[0][0]:
            yield batch[0][0], batch
            batch = []
        if not batch and not known:
            batch.append((row[0], "", "", "process.uptime", row[0] - begin))
        batch.append(row)
    if batch:
        yield batch[0][0], batch
