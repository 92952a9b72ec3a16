"""The benchmark's files and labelled windows, out of a copy that the user has."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: The whole corpus.
FILES = 58


@dataclass
class Series:
    """One file.

    Attributes:
        name: Folder and file.
        times: Seconds, one for each row.
        values: The rows.
        windows: First and last row of each labelled window.
    """

    name: str
    times: list[float]
    values: list[float]
    windows: list[tuple[int, int]]


def read_corpus(folder: Path) -> list[Series]:
    """All files, in the order of their names.

    Args:
        folder: A checkout of numenta/NAB, or its folder ``data`` beside ``labels``.

    Raises:
        FileNotFoundError: There is no such corpus; the text says where to get it.
    """
    root = next(
        (
            one
            for one in (folder, folder.parent)
            if (one / "labels" / "combined_windows.json").is_file()
        ),
        None,
    )
    if root is None:
        raise FileNotFoundError(
            f"{folder} holds no labels/combined_windows.json: give a checkout of "
            "https://github.com/numenta/NAB"
        )
    labels = root / "labels" / "combined_windows.json"
    windows = json.loads(labels.read_text(encoding="utf-8"))
    found = []
    for path in sorted((root / "data").glob("*/*.csv")):
        name = f"{path.parent.name}/{path.name}"
        found.append(_series(path, name, windows.get(name, [])))
    if not found:
        raise FileNotFoundError(f"{root / 'data'} holds no files of the corpus")
    return found


def _series(path: Path, name: str, windows: list[list[str]]) -> Series:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [
            (row["timestamp"], float(row["value"])) for row in csv.DictReader(lines)
        ]
    stamps = [datetime.fromisoformat(at) for at, _ in rows]
    places: dict[datetime, int] = {}
    for place, stamp in enumerate(stamps):
        places.setdefault(stamp, place)
    return Series(
        name,
        [(stamp - stamps[0]).total_seconds() for stamp in stamps],
        [value for _, value in rows],
        [(places[_at(begin)], places[_at(end)]) for begin, end in windows],
    )


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
