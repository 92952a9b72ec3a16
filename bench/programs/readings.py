"""Parse, filter and sum up JSON readings of sensors by a streamz pipeline."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from streamz import Stream

READINGS = 60_000
SENSORS = 50


def parse(line: str) -> dict[str, Any]:
    """Read one line."""
    reading: dict[str, Any] = json.loads(line)
    return reading


def is_valid(reading: dict[str, Any]) -> bool:
    """Leave out what a broken sensor sends."""
    return all(-40 <= value <= 85 for value in reading["values"])


def total(sums: Counter[str], reading: dict[str, Any]) -> Counter[str]:
    """Add a reading to its sensor's sum."""
    sums[reading["sensor"]] += sum(reading["values"])
    return sums


def main() -> None:
    """Push all readings through."""
    lines = [
        json.dumps({"sensor": f"s{n}", "values": [(n * k) % 90 for k in range(20)]})
        for n in range(SENSORS)
    ]
    source = Stream()
    sums: list[Counter[str]] = []
    readings = source.map(parse).filter(is_valid)
    readings.accumulate(total, start=Counter()).sink(sums.append)
    for number in range(READINGS):
        source.emit(lines[number % SENSORS])
    print(len(sums), "of", READINGS, "readings in", len(sums[-1]), "sensors")


if __name__ == "__main__":
    main()
