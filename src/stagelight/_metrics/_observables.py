"""Observable instruments over the slots: they cost nothing until somebody reads."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import CallbackOptions, Observation

from stagelight import _guard, _names
from stagelight._registry import LATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import Meter

    from stagelight._metrics._look import Look


class _Anybody:
    """Stands for every reader that the seam does not tell apart."""


_ANYBODY: Final = _Anybody()
#: Seconds for which one look serves all callbacks of a reader unknown to the seam.
_FRESH: Final = 0.05


class Collection(threading.local):
    """The collection that runs in this thread, as the seam announces it.

    Attributes:
        look: What its callbacks and histograms are read from; made on first use.
        reader: The SDK's reader, None outside of the seam.
        touched: Whether one of our callbacks ran: the provider has our instruments.
        served: Metrics that the look has given to ``meter`` outside of the seam.
        meter: The meter that it was made for.
    """

    def __init__(self) -> None:
        self.look: Look | None = None
        self.reader: object | None = None
        self.touched = False
        self.made = 0.0
        self.served: set[str] = set()
        self.meter: Meter | None = None


COLLECTION: Final = Collection()
#: Told when a callback runs outside of the seam: histograms need the fallback.
ON_FOREIGN: Final[list[Callable[[Meter], None]]] = []


def current_look(meter: Meter, metric: _names.Metric) -> Look:
    """The look of the running collection.

    Args:
        meter: Our meter of the provider that collects.
        metric: What it asks for: asking twice shows that another collection began.
    """
    collection = COLLECTION
    if collection.reader is not None:
        collection.touched = True
        if collection.look is None:
            collection.look = _look(collection.reader)
        return collection.look
    for tell in ON_FOREIGN:
        tell(meter)
    now = time.monotonic()
    if (
        collection.look is None
        or collection.meter is not meter
        or metric.name in collection.served
        or now - collection.made > _FRESH
    ):
        collection.look, collection.meter = _look(_ANYBODY), meter
        collection.made = now
        collection.served = set()
    collection.served.add(metric.name)
    return collection.look


def _look(reader: object) -> Look:
    with LATE:  # who never collects need not load it
        from stagelight._metrics._look import Look

    return Look(reader)


def _callback(
    metric: _names.Metric,
    meter: Meter,
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        # One by one: what the reader does with each is in the slices as well.
        try:
            for value, attributes in current_look(meter, metric).numbers(metric):
                yield Observation(value, attributes)
        except Exception as error:  # noqa: BLE001 - never into the reader
            _guard.caught("collect", error)

    return observe


def create(meter: Meter) -> None:
    """Create every counter and gauge of the metric table.

    Args:
        meter: Our meter of some provider.
    """
    makers = {
        _names.COUNTER: meter.create_observable_counter,
        _names.UP_DOWN: meter.create_observable_up_down_counter,
        _names.GAUGE: meter.create_observable_gauge,
    }
    for metric in _names.METRICS:
        if metric.kind != _names.HISTOGRAM:
            makers[metric.kind](
                metric.name,
                callbacks=[_callback(metric, meter)],
                unit=metric.unit,
                description=metric.description,
            )
