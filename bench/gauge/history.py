"""Ratios of earlier runs, and whether those of this run are worse.

Only ratios are kept: they hold from one machine to the next, times do not.
"""

from __future__ import annotations

import datetime as dt
import json
import platform
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / "history.json"
#: How much worse than recorded a ratio may be.
TOLERANCE = 0.15
#: Records that a ratio's recorded value is the median of.
RECENT = 5

Record = dict[str, Any]


@dataclass(frozen=True)
class Worse:
    """A ratio that is worse than recorded.

    Attributes:
        name: Which.
        now: What it is now.
        recorded: What it was.
    """

    name: str
    now: float
    recorded: float

    def __str__(self) -> str:
        change = self.now / self.recorded - 1
        return (
            f"{self.name}: {self.now:.3g}, recorded {self.recorded:.3g} ({change:+.0%})"
        )


def read(path: Path = FILE) -> list[Record]:
    """All records, the oldest first."""
    if not path.exists():
        return []
    records: list[Record] = json.loads(path.read_text(encoding="utf-8"))
    return records


def append(ratios: dict[str, float], path: Path = FILE) -> None:
    """Add a record of today.

    Args:
        ratios: Median ratios by name.
        path: The history's file.
    """
    record = {
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "commit": _commit(),
        "ratios": {name: float(f"{value:.4g}") for name, value in ratios.items()},
    }
    text = json.dumps([*read(path), record], indent=1) + "\n"
    path.write_text(text, encoding="utf-8")


def _commit() -> str:
    """The commit that was measured, with a plus where the tree differs from it."""
    command = ["git", "describe", "--always", "--abbrev=10", "--dirty=+", "--exclude=*"]
    return subprocess.run(
        command, cwd=FILE.parent, check=True, capture_output=True, text=True
    ).stdout.strip()


def recorded(records: list[Record], python: str) -> dict[str, float]:
    """What each ratio was: the median of its last records on the same Python.

    Args:
        records: The history, the oldest first.
        python: Version, of which the first two parts count.
    """
    series: dict[str, list[float]] = {}
    for record in records:
        if record["python"].split(".")[:2] == python.split(".")[:2]:
            for name, value in record["ratios"].items():
                series.setdefault(name, []).append(value)
    return {name: statistics.median(found[-RECENT:]) for name, found in series.items()}


def worse(now: dict[str, float], before: dict[str, float]) -> list[Worse]:
    """The ratios that are worse than recorded by more than is tolerated.

    A ratio that was never recorded is not compared.

    Args:
        now: Ratios of this run.
        before: What was recorded.
    """
    return [
        Worse(name, value, before[name])
        for name, value in now.items()
        if name in before and value > before[name] * (1 + TOLERANCE)
    ]


def better_of(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    """The better value of each ratio of two runs: a real change is in both.

    Args:
        first: Ratios of the first run.
        second: Ratios of another run, of all or some of them.
    """
    return {name: min(value, second.get(name, value)) for name, value in first.items()}
