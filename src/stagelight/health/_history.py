"""Hours of history at constant memory: five minutes finely, eight hours by the minute.

Numbers are four bytes each, in columns that are cut from their old end.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Any, Final

from stagelight import _names
from stagelight._cells import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stagelight._insight import Window
    from stagelight._model import Quantiles
    from stagelight._sight import Sight, StageSight

FINE: Final = 300
COARSE: Final = 480
_MINUTE: Final = 60.0
#: Seconds back to which the fine points reach.
_FINE_SPAN: Final = 310.0
_NAN: Final = math.nan
STAGE_COLUMNS: Final = ("rate", "errors", "p50", "p95", "p99", "busy", "blocked")
QUEUE_COLUMNS: Final = ("size", "wait")
#: Of these a minute has the largest value; of all others the mean.
_PEAKS: Final = frozenset({"p50", "p95", "p99", "wait", "size"})


class Columns:
    """One table of numbers whose rows are moments.

    Args:
        most: How many rows it keeps.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.times: array[float] = array("d")
        self.columns: dict[tuple[str, ...], array[float]] = {}

    def add(self, at: float, row: Mapping[tuple[str, ...], float]) -> None:
        """Add one row; columns that it has none for get no number.

        Args:
            at: Wall clock in seconds.
            row: Column to number.
        """
        for key in row:
            if key not in self.columns:
                self.columns[key] = array("f", [_NAN]) * len(self.times)
        self.times.append(at)
        for key, column in self.columns.items():
            column.append(row.get(key, _NAN))
        if len(self.times) >= 2 * self._most:
            self._cut(len(self.times) - self._most)

    def _cut(self, number: int) -> None:
        del self.times[:number]
        for key in list(self.columns):
            column = self.columns[key]
            del column[:number]
            if all(map(math.isnan, column)):
                del self.columns[key]

    def tail(self, since: float) -> tuple[list[float], dict[tuple[str, ...], Any]]:
        """Times and columns from a moment on, at most as many as it keeps.

        Args:
            since: Wall clock in seconds.
        """
        first = max(len(self.times) - self._most, 0)
        while first < len(self.times) and self.times[first] < since:
            first += 1
        return list(self.times[first:]), {
            key: [None if math.isnan(x) else float(f"{x:.4g}") for x in column[first:]]
            for key, column in self.columns.items()
        }


class History:
    """What one pipeline did."""

    def __init__(self) -> None:
        self._fine, self._coarse = Columns(FINE), Columns(COARSE)
        self._minute: dict[tuple[str, ...], list[float]] = {}
        self._minute_began = 0.0
        self._before: Sight | None = None
        #: The numbers of the last row.
        self.last: dict[tuple[str, ...], float] = {}

    def note(self, window: Window, wall: float) -> None:
        """Take one look into account.

        Rates and shares are those since the look before, quantiles those of the window.

        Args:
            window: What happened until this look.
            wall: Wall clock in seconds.
        """
        sight = window.later
        before, self._before = self._before, sight
        if before is None or sight.at <= before.at:
            self._minute_began = wall
            return
        seconds = (sight.at - before.at) / NANOSECONDS
        row: dict[tuple[str, ...], float] = {}
        for name, stage in sight.stages.items():
            old = before.stages.get(name)
            if old is not None and old.count <= stage.count:
                spent = window.stages[name].quantiles
                for column, number in _stage(stage, old, spent, seconds).items():
                    row["stages", name, column] = number
        for name, queue in sight.queues.items():
            wait = window.queues[name].quantiles.p95
            size = queue.size
            row["queues", name, "size"] = _NAN if size is None else float(size)
            row["queues", name, "wait"] = _NAN if wait is None else wait
        self.last = row
        self._fine.add(wall, row)
        self._fold(row, wall)

    def _fold(self, row: Mapping[tuple[str, ...], float], wall: float) -> None:
        for key, number in row.items():
            if not math.isnan(number):
                self._minute.setdefault(key, []).append(number)
        if wall - self._minute_began >= _MINUTE:
            self._coarse.add(
                wall,
                {
                    key: max(all_) if key[2] in _PEAKS else sum(all_) / len(all_)
                    for key, all_ in self._minute.items()
                },
            )
            self._minute.clear()
            self._minute_began = wall

    def document(self, now: float, *, hours: bool = False) -> dict[str, Any]:
        """Times, and for each stage and queue its columns, None where unknown.

        Args:
            now: Wall clock in seconds.
            hours: The last eight hours by the minute, else five minutes finely.
        """
        table = self._coarse if hours else self._fine
        times, columns = table.tail(0.0 if hours else now - _FINE_SPAN)
        found: dict[str, Any] = {"times": times, "stages": {}, "queues": {}}
        for (kind, name, column), numbers in columns.items():
            found[kind].setdefault(name, {})[column] = numbers
        return found


def _stage(
    now: StageSight, old: StageSight, spent: Quantiles, seconds: float
) -> dict[str, float]:
    busy, idle, blocked = (
        max(now.seconds[state] - old.seconds[state], 0)
        for state in _names.WORKER_STATES
    )
    total = busy + idle + blocked
    return {
        "rate": (now.count - old.count) / seconds,
        "errors": (now.errors - old.errors) / seconds,
        "p50": _NAN if spent.p50 is None else spent.p50,
        "p95": _NAN if spent.p95 is None else spent.p95,
        "p99": _NAN if spent.p99 is None else spent.p99,
        "busy": busy / total if total else 0.0,
        "blocked": blocked / total if total else 0.0,
    }
