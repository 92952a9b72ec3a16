"""Our names as the collector's Prometheus exporter writes them.

That is its strategy ``UnderscoreEscapingWithSuffixes``, the default: dots become
underscores, then come the unit, and ``_total`` on what only grows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stagelight import _names

if TYPE_CHECKING:
    from stagelight._names import Metric

_UNITS: Final = {"s": "seconds", "By": "bytes", "1": "ratio"}


def label(attribute: str) -> str:
    """The label of an attribute.

    Args:
        attribute: Such as ``stagelight.stage.name``.
    """
    return re.sub(r"\W", "_", attribute, flags=re.ASCII)


def series(metric: Metric) -> str:
    """The name of a metric's series; of a histogram, what its suffixes are put to.

    Args:
        metric: A row of the metric table.
    """
    name = label(metric.name)
    unit = _UNITS.get(metric.unit, "")
    # A unit in braces is an annotation and adds nothing, a ratio only to a gauge.
    if unit == "ratio" and metric.kind != _names.GAUGE:
        unit = ""
    if unit and not name.endswith(f"_{unit}"):
        name = f"{name}_{unit}"
    if metric.kind == _names.COUNTER and not name.endswith("_total"):
        name = f"{name}_total"
    return name
