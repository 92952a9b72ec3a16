"""What a metric is: one row of the table of names."""

from __future__ import annotations

from typing import Final, NamedTuple

COUNTER: Final = "counter"
UP_DOWN: Final = "updowncounter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"


class Metric(NamedTuple):
    """One row of the metric table.

    Attributes:
        name: Full metric name.
        kind: ``counter``, ``updowncounter``, ``gauge`` or ``histogram``.
        unit: UCUM unit.
        attributes: Keys of its data points, in order.
        description: One sentence without a full stop.
    """

    name: str
    kind: str
    unit: str
    attributes: tuple[str, ...]
    description: str
