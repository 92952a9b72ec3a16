"""What the turns of contestants amount to: ratios within a turn, with their bounds."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gauge import lineup
from gauge.growth import BARE, BY_HAND, STAGES
from gauge.lineup import FUNCTION, LOGFIRE, OTEL_ALL, OTEL_METRICS, PROMETHEUS, ours
from gauge.load import LATER, SECONDS
from gauge.stages import DEFAULT, EVERY, EVERY_OTLP, METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gauge.turns import Turn

RATIO = "x"


@dataclass(frozen=True)
class Figure:
    """One figure, measured several times.

    Attributes:
        name: What it is.
        values: As each turn had it.
        unit: ``x`` for a ratio.
        bound: What it must not exceed, if anything.
    """

    name: str
    values: tuple[float, ...]
    unit: str = RATIO
    bound: float | None = None

    @property
    def median(self) -> float:
        """Its median."""
        return statistics.median(self.values)

    @property
    def holds(self) -> bool | None:
        """Whether it is within its bound, None where it has none."""
        return None if self.bound is None else self.median <= self.bound


#: Numerator, denominator, bound. A ratio's name is made of the first two.
_RATIOS: tuple[tuple[str, str, float | None], ...] = (
    (ours(METRICS, FUNCTION), PROMETHEUS, 0.4),
    (ours(METRICS, FUNCTION), OTEL_METRICS, 1 / 40),
    (ours(METRICS, lineup.OBJECT), PROMETHEUS, None),
    (ours(DEFAULT, FUNCTION), PROMETHEUS, 1.0),
    (ours(DEFAULT, FUNCTION), OTEL_ALL, 1 / 50),
    (ours(DEFAULT, FUNCTION), lineup.OTEL_OTLP, None),
    (ours(DEFAULT, FUNCTION), LOGFIRE, 1 / 75),
    (ours(DEFAULT, lineup.OBJECT), PROMETHEUS, None),
    (ours(DEFAULT, lineup.FETCHED), ours(DEFAULT, FUNCTION), None),
    (ours(EVERY, FUNCTION), OTEL_ALL, 0.6),
    (ours(EVERY_OTLP, FUNCTION), lineup.OTEL_OTLP, None),
    *(
        (ours(mode, kind), ours(mode, FUNCTION), 1.3)
        for mode in (METRICS, DEFAULT)
        for kind in (lineup.COROUTINE, lineup.GENERATOR, lineup.ASYNC_GENERATOR)
    ),
    (ours(DEFAULT, lineup.TWO_STAGES), ours(DEFAULT, FUNCTION), None),
    (ours(DEFAULT, lineup.TASK_FETCHED), ours(DEFAULT, FUNCTION), None),
)
#: Queues whose put and get may cost so many microseconds more together.
_QUEUES = tuple(
    ours(mode, kind)
    for mode in (METRICS, DEFAULT)
    for kind in (lineup.QUEUE, lineup.BOUNDED)
)
_ADDED = 1.5
#: What is compared with its own bare twin, and the bound of what observing adds.
_BARE = (
    *((one, None) for one in _QUEUES),
    (ours(METRICS, lineup.TASK_QUEUE), None),
    (ours(DEFAULT, lineup.TASK_QUEUE), None),
)
#: How much dearer an event may be where there are very many; measured as noise allows.
_CONSTANT = 1.15


def calls(turns: list[Turn]) -> list[Figure]:
    """Ratios of contestants that observe a call, an item or an event."""
    there = turns[0].keys()
    found = [
        Figure(
            f"{one} / {other}",
            tuple(turn[one]["us"] / turn[other]["us"] for turn in turns),
            bound=bound,
        )
        for one, other, bound in _RATIOS
        if one in there and other in there
    ]
    found += [
        Figure(
            f"{one} / bare",
            tuple(turn[one]["us"] / turn[one]["bare"] for turn in turns),
            bound=bound,
        )
        for one, bound in _BARE
        if one in there
    ]
    found += [
        Figure(one, tuple(turn[one]["us"] for turn in turns), "us", _ADDED)
        for one in _QUEUES
        if one in there
    ]
    return found


def capture(turns: list[Turn]) -> list[Figure]:
    """What keeping failed events costs, over the same without."""

    def bound(name: str) -> float | None:
        if name.endswith(lineup.DECLARED):
            return None
        return 1 / 0.95 if name.endswith(lineup.FAILURES) else 1.02

    return [
        Figure(
            f"{name} / off",
            tuple(1 + turn[name]["us"] / turn[name]["bare"] for turn in turns),
            bound=bound(name),
        )
        for name in turns[0]
    ]


def growth(turns: list[Turn]) -> list[Figure]:
    """Cost of an event among many, over that among few."""
    found = []
    for what in (lineup.STAGES, lineup.THREADS):
        numbers = [name for name in turns[0].get(what, ()) if name.isdigit()]
        found += [
            Figure(
                f"{DEFAULT}: {number} {what} / {numbers[0]}",
                tuple(turn[what][number] / turn[what][numbers[0]] for turn in turns),
                bound=_CONSTANT,
            )
            for number in numbers[1:]
        ]
    most = max(STAGES)
    found += [
        Figure(
            f"{title}: {most} {lineup.STAGES} / 1",
            tuple(
                turn[lineup.STAGES][f"{name} {most}"] / turn[lineup.STAGES][f"{name} 1"]
                for turn in turns
            ),
        )
        for name, title in ((BARE, "bare functions"), (BY_HAND, PROMETHEUS))
    ]
    events = [name for name in lineup.EVENTS if name in turns[0]]
    found += [
        Figure(
            f"{DEFAULT}: {name} / {events[0]}",
            tuple(turn[name]["us"] / turn[events[0]]["us"] for turn in turns),
            bound=_CONSTANT,
        )
        for name in events[1:]
    ]
    return found


def collection(turns: list[Turn]) -> list[Figure]:
    """Reading 256 stages in 64 workers."""

    def figure(name: str, key: str, bound: float | None = None) -> Figure:
        values = tuple(turn[lineup.COLLECTION][key] for turn in turns)
        return Figure(name, values, "ms", bound)

    return [
        figure(f"collection after {SECONDS} s", "collect", 150),
        figure("collection of slots that are new", "young"),
        figure("OTLP encoding of it", "encode"),
        figure("collection by the clock, a worker running", "wall"),
        figure("longest hold-up of a worker in a collection", "hold-up", 5),
        figure("longest in any of several collections", "worst hold-up"),
        figure("longest garbage collection in any of them", "garbage"),
        figure("longest without a collection", "hold-up without"),
        figure("longest gap of a worker by the clock", "gap"),
        figure("the same by the clock without a collection", "gap without"),
        Figure(
            "collection / the SDK's own of 256 histograms and counters",
            tuple(
                turn[lineup.COLLECTION]["collect"] / turn[lineup.COLLECTION]["by hand"]
                for turn in turns
            ),
        ),
    ]


def memory(turns: list[Turn]) -> list[Figure]:
    """Memory for each stage and worker."""

    def values(key: str) -> tuple[float, ...]:
        return tuple(turn[lineup.MEMORY][key] for turn in turns)

    old = values("old")
    return [
        Figure("memory of a slot after its first call", values("first"), "KB"),
        Figure(f"memory of a slot after {SECONDS} s", old, "KB", 4),
        Figure(f"memory of a slot after {SECONDS + LATER} s", values("older"), "KB", 4),
        Figure("memory of a slot with a full buffer", values("full"), "KB"),
        Figure("memory of a slot after its thread ended", values("ended"), "KB"),
        Figure("memory of a slot / 4 KB", tuple(value / 4 for value in old)),
        Figure(
            f"memory after {SECONDS + LATER} s / after {SECONDS} s",
            tuple(
                later / before
                for later, before in zip(values("older"), old, strict=True)
            ),
        ),
    ]


def ratios(figures: Iterable[Figure]) -> dict[str, float]:
    """Those figures that can be compared between machines, by name."""
    return {figure.name: figure.median for figure in figures if figure.unit == RATIO}
