"""Recorded series: reads anybody's CSV, strictly, with the line of what is wrong.

The header is ``time,pipeline,stage,metric,value``: seconds, one row for each sample,
cumulative counters, and the instrument's name, with ``.count``, ``.sum`` or the state
appended. Pipeline and stage are empty for what is about the process.
"""

from __future__ import annotations

import csv
from math import inf, isfinite, isinf, isnan
from typing import TYPE_CHECKING, Final, NamedTuple

from stagelight._errors import ConfigurationError
from stagelight.alerts._sources import PROCESS, SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COLUMNS: Final = ("time", "pipeline", "stage", "metric", "value")
#: Sizes of a field that no sample has; csv's own limit is a confusing error.
_LONGEST: Final = 1000
#: What stands for bytes that are no text, where a file is opened with "replace".
_UNREADABLE: Final = "\ufffd"
_LIMITS: Final = (".capacity", ".limit")


class Sample(NamedTuple):
    """One value of one series."""

    time: float
    pipeline: str
    stage: str
    source: str
    value: float


def read(lines: Iterable[str], ignored: set[str] | None = None) -> Iterator[Sample]:
    """The samples of a recording, in its order.

    A value that is NaN is a gap and left out, as is a capacity or limit that is none
    (0, negative or infinite), and a metric that no rule can name.

    Args:
        lines: Its lines, the header first.
        ignored: Takes the names of metrics that were left out.

    Raises:
        ConfigurationError: A column is missing, or a row cannot be right: the text has
            the number of its line.
    """
    rows = csv.reader(lines)
    try:
        places = _places(next(rows, []))
        width = max(places) + 1
        for row in rows:
            if not row or not any(map(str.strip, row)):
                continue
            if len(row) < width:
                raise _wrong(
                    rows.line_num,
                    f"it has {len(row)} cells where the header has {width}",
                )
            cells = [row[place].strip() for place in places]
            if len(max(cells, key=len)) > _LONGEST:
                raise _wrong(rows.line_num, "a cell is far too long")
            if any(_UNREADABLE in cell for cell in cells):
                raise _wrong(rows.line_num, "it is not UTF-8")
            found = _sample(cells, rows.line_num)
            if found.source not in SOURCES:
                if ignored is not None:
                    ignored.add(cells[3])
            elif not (isnan(found.value) or _unlimited(found)):
                yield found
    except csv.Error as error:
        raise _wrong(rows.line_num, f"it is no CSV: {error}") from None


def _places(header: list[str]) -> list[int]:
    names = [name.strip().removeprefix("\ufeff").lower() for name in header]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise _wrong(
            1,
            f"the header lacks {', '.join(map(repr, missing))}; it has to be "
            + ",".join(COLUMNS),
        )
    return [names.index(name) for name in COLUMNS]


def _sample(cells: list[str], line: int) -> Sample:
    at, pipeline, stage, metric, text = cells
    try:
        time = float(at)
    except ValueError:
        time = float("nan")
    if not isfinite(time):
        raise _wrong(line, f"the time has to be a number of seconds, not {at!r}")
    try:
        value = float(text)
    except ValueError:
        raise _wrong(line, f"the value has to be a number, not {text!r}") from None
    if isinf(value) and not metric.endswith(_LIMITS):
        raise _wrong(line, f"the value has to be finite, not {text!r}")
    if not metric:
        raise _wrong(line, "it names no metric")
    source = metric.removeprefix("stagelight.")
    known = SOURCES.get(source)
    if known is not None:
        if known.scope == PROCESS:
            pipeline = stage = ""
        elif not stage:
            raise _wrong(line, f"{metric} is about a stage, and it names none")
    return Sample(time, pipeline, stage, source, value)


def _unlimited(sample: Sample) -> bool:
    return sample.source.endswith(_LIMITS) and not 0 < sample.value < inf


def _wrong(line: int, what: str) -> ConfigurationError:
    return ConfigurationError(f"line {line}: {what}")
