"""Hours of history at constant memory: five minutes finely, eight hours by the minute.

Numbers are four bytes each, in one array for each look.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stagelight import _names
from stagelight._cells import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

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
#: Those that are no window's, but about the time since the look before.
_NEW: Final = ("rate", "errors", "busy", "blocked")
_FRESH: Final = itemgetter(*map(STAGE_COLUMNS.index, _NEW))
_NO_STAGE: Final = (_NAN,) * len(STAGE_COLUMNS)


class Layout:
    """Which number stands where in a row.

    Args:
        stages: Names of the stages, in turn.
        queues: Names of the queues, in turn.
    """

    def __init__(self, stages: Sequence[str], queues: Sequence[str]) -> None:
        self.names = (tuple(stages), tuple(queues))
        self.columns: list[tuple[str, str, str]] = [
            *(("stages", name, one) for name in stages for one in STAGE_COLUMNS),
            *(("queues", name, one) for name in queues for one in QUEUE_COLUMNS),
        ]
        self.places = {key: place for place, key in enumerate(self.columns)}


class Row(NamedTuple):
    """What one look saw.

    Attributes:
        time: Wall clock in seconds.
        layout: Which number is which.
        numbers: The numbers, NaN where there is none.
    """

    time: float
    layout: Layout
    numbers: array[float]


def columns(rows: Sequence[Row]) -> dict[tuple[str, str, str], list[float]]:
    """Rows as columns, without those that are gone and have no number left.

    Args:
        rows: The rows, which may have different layouts.
    """
    found: dict[tuple[str, str, str], list[float]] = {}
    for layout in dict.fromkeys(row.layout for row in rows):
        own = [row.numbers if row.layout is layout else None for row in rows]
        gap = array("f", [_NAN]) * len(layout.columns)
        for key, column in zip(
            layout.columns, zip(*(one or gap for one in own), strict=True), strict=True
        ):
            before = found.get(key)
            if before is None:
                found[key] = list(column)
            else:
                for place, one in enumerate(own):
                    if one is not None:
                        before[place] = column[place]
    kept = rows[-1].layout.places if rows else {}
    return {
        key: column
        for key, column in found.items()
        if key in kept or not all(map(math.isnan, column))
    }


class History:
    """What one pipeline did."""

    def __init__(self) -> None:
        self._fine: deque[Row] = deque(maxlen=FINE)
        self._coarse: deque[Row] = deque(maxlen=COARSE)
        self._minute: list[Row] = []
        self._minute_began = 0.0
        self._before: Sight | None = None
        self._layout = Layout((), ())
        #: The newest row, None before the second look.
        self.last: Row | None = None

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
        if self._layout.names != (tuple(sight.stages), tuple(sight.queues)):
            self._layout = Layout(tuple(sight.stages), tuple(sight.queues))
        seconds = (sight.at - before.at) / NANOSECONDS
        numbers: list[float] = []
        for name, stage in sight.stages.items():
            old = before.stages.get(name)
            if old is None or old.count > stage.count:
                numbers += _NO_STAGE
            else:
                spent = window.stages[name].quantiles
                numbers += _stage(stage, old, spent, seconds)
        for name, queue in sight.queues.items():
            wait = window.queues[name].quantiles.p95
            numbers.append(_NAN if queue.size is None else queue.size)
            numbers.append(_NAN if wait is None else wait)
        self.last = Row(wall, self._layout, array("f", numbers))
        self._fine.append(self.last)
        self._minute.append(self.last)
        if wall - self._minute_began >= _MINUTE:
            self._coarse.append(self._folded(wall))
            self._minute.clear()
            self._minute_began = wall

    def _folded(self, wall: float) -> Row:
        """The rows of a minute as one."""
        numbers = array("f", [_NAN]) * len(self._layout.columns)
        for key, column in columns(self._minute).items():
            place = self._layout.places.get(key)
            known = [one for one in column if not math.isnan(one)]
            if place is not None and known:
                peak = key[2] in _PEAKS
                numbers[place] = max(known) if peak else sum(known) / len(known)
        return Row(wall, self._layout, numbers)

    def document(self, now: float, *, hours: bool = False) -> dict[str, Any]:
        """Times, and for each stage and queue its columns, None where unknown.

        Args:
            now: Wall clock in seconds.
            hours: The last eight hours by the minute, else five minutes finely.
        """
        rows = [*self._coarse] if hours else [*self._fine]
        since = 0.0 if hours else now - _FINE_SPAN
        rows = [row for row in rows if row.time >= since]
        found: dict[str, Any] = {"stages": {}, "queues": {}}
        for (kind, name, column), numbers in columns(rows).items():
            found[kind].setdefault(name, {})[column] = [
                None if math.isnan(one) else float(f"{one:.4g}") for one in numbers
            ]
        return {"times": [row.time for row in rows], **found}


def newest(row: Row | None) -> dict[str, Any]:
    """Of a row what the numbers of a window do not tell: stages since the last look.

    Args:
        row: The row, or None before there is any.
    """
    if row is None:
        return {"stages": {}}
    names, numbers, wide = row.layout.names[0], row.numbers, len(STAGE_COLUMNS)
    return {
        "stages": {
            name: dict(zip(_NEW, _FRESH(numbers[at : at + wide]), strict=True))
            for name, at in zip(names, range(0, len(names) * wide, wide), strict=True)
            if not math.isnan(numbers[at])
        }
    }


def _stage(
    now: StageSight, old: StageSight, spent: Quantiles, seconds: float
) -> tuple[float, ...]:
    # A worker state's time never goes back, but by a fork.
    later, before = now.seconds, old.seconds
    busy = max(later[_names.BUSY] - before[_names.BUSY], 0)
    idle = max(later[_names.IDLE] - before[_names.IDLE], 0)
    blocked = max(later[_names.BLOCKED_STATE] - before[_names.BLOCKED_STATE], 0)
    total = busy + idle + blocked or 1
    return (
        (now.count - old.count) / seconds,
        (now.errors - old.errors) / seconds,
        _NAN if spent.p50 is None else spent.p50,
        _NAN if spent.p95 is None else spent.p95,
        _NAN if spent.p99 is None else spent.p99,
        busy / total,
        blocked / total,
    )
