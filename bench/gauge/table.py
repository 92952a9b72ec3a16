"""The results as the markdown that the README shows."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from gauge.figures import RATIO
from gauge.lineup import LOGFIRE, OTEL_ALL, OTEL_METRICS, OTHERS, PROMETHEUS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gauge.figures import Figure
    from gauge.turns import Turn

_COLUMNS = {
    "prometheus_client": PROMETHEUS,
    "OTel metrics": OTEL_METRICS,
    "OTel span + metrics": OTEL_ALL,
    "logfire": LOGFIRE,
}


def costs(turns: Sequence[Turn]) -> str:
    """What each contestant adds to its bare twin, and that beside the others.

    Args:
        turns: Turns of the room of calls.
    """
    columns = {title: name for title, name in _COLUMNS.items() if name in turns[0]}
    titles = ["us bare", "us added", *(f"x {title}" for title in columns)]
    lines = [_row("observed by", titles), "|---" + "|---:" * len(titles) + "|"]
    for name in turns[0]:
        cells = [
            f"{statistics.median(turn[name][key] for turn in turns):.2f}"
            for key in ("bare", "us")
        ]
        cells += [
            _ratio(
                statistics.median(
                    turn[name]["us"] / turn[other]["us"] for turn in turns
                )
            )
            for other in columns.values()
        ]
        title = name if name in OTHERS else f"stagelight, {name}"
        lines.append(_row(title, cells))
    return "\n".join(lines)


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.2 else f"{value:.3f}"


def _row(first: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join((first, *cells))} |"


def figures(found: Iterable[Figure]) -> str:
    """Each figure with the spread of its turns, its bound, and whether that holds.

    Args:
        found: The figures.
    """
    lines = [
        _row("figure", ["median", "lowest - highest", "bound", "holds"]),
        "|---|---:|---:|---:|---|",
    ]
    for figure in found:
        bound = "" if figure.bound is None else _value(figure.bound, figure.unit)
        spread = f"{_number(min(figure.values))} - {_number(max(figure.values))}"
        holds = {None: "", True: "yes", False: "**no**"}[figure.holds]
        cells = [_value(figure.median, figure.unit), spread, bound, holds]
        lines.append(_row(figure.name, cells))
    return "\n".join(lines)


def _value(value: float, unit: str) -> str:
    return f"{_number(value)}x" if unit == RATIO else f"{_number(value)} {unit}"


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:.0f}"
    # What lies beside a bound just above 1 differs in its fourth digit.
    return f"{value:.4g}" if 1 <= abs(value) < 2 else f"{value:.3g}"
