"""A recording through the rules, as if it happened now.

Recordings are as their makers left them: in any order, with gaps, restarts and
intervals of their own, with metrics missing. Nothing here looks ahead: what is filled
in between two samples is evaluated when the second one is there.
"""

from __future__ import annotations

from array import array
from collections import deque
from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from stagelight.alerts._evaluator import Evaluator
from stagelight.alerts._sources import PROCESS, SOURCES
from stagelight.alerts._windows import STALE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.decay.recording import Sample

    from stagelight.alerts._evaluator import Standing
    from stagelight.alerts._rule import Rule

#: Windows of five minutes need samples at least as often, in seconds.
_OFTEN: Final = 60.0
#: For so many seconds a gap is evaluated: then all that stood in it has ended.
_GAP: Final = 1800.0
#: A counter that falls by less has not started anew; it was rounded.
_ROUNDED: Final = 0.01
_UPTIME: Final = "process.uptime"
_AGE: Final = "queue.oldest.age"
_SIZE: Final = "queue.size"
_COUNT: Final = "stage.process.duration.count"
_RATE_OVER: Final = 600.0

_Key = tuple[str, str, str]
_Moment = tuple[float, float, list[tuple[_Key, float]]]


class _Series:
    """One series of a recording, and where the replay is in it."""

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.counter = SOURCES[key[2]].counter
        self.at = float("-inf")
        self.value = 0.0
        self.restarted = False

    def take(self, at: float, value: float) -> float:
        """The next value, of a counter without what was only rounded."""
        self.restarted = self.counter and value < self.value
        if self.restarted and value > self.value * (1 - _ROUNDED):
            self.restarted, value = False, self.value
        self.at, self.value = at, value
        return value


class Replay:
    """The samples of a recording by the moments at which they were taken.

    Args:
        samples: They, in any order.
    """

    def __init__(self, samples: Iterable[Sample]) -> None:
        keys: dict[_Key, int] = {}
        self._times, self._values = array("d"), array("d")
        self._which = array("l")
        for at, pipeline, stage, source, value in samples:
            key = (pipeline, stage, source)
            self._times.append(at)
            self._which.append(keys.setdefault(key, len(keys)))
            self._values.append(value)
        self.series = [_Series(key) for key in keys]
        self.sources = {key[2] for key in keys}
        self.interval = self._interval()

    def _order(self) -> Iterable[int]:
        times = self._times
        if all(a <= b for a, b in zip(times, times[1:], strict=False)):  # noqa: RUF007 - 3.10 has no faster one
            return range(len(times))
        return sorted(range(len(times)), key=times.__getitem__)

    def _interval(self) -> float:
        """Seconds between two samples of one series, as usual in this recording."""
        last: dict[int, float] = {}
        gaps: list[float] = []
        for place in self._order():
            at, which = self._times[place], self._which[place]
            if at > last.get(which, at):
                gaps.append(at - last[which])
            last[which] = at
            if len(gaps) >= 20_000:
                break
        return median(gaps) if gaps else _OFTEN

    def moments(self) -> Iterator[_Moment]:
        """When it is told, of which time, and the samples of that time."""
        before: float | None = None
        for now, batch in self._batches():
            gap = now - before if before is not None else 0.0
            if before is not None and self.interval > _OFTEN:
                yield from self._between(before, now, batch, gap)
            if before is not None and gap > max(STALE, 3 * self.interval):
                yield from _silence(before, min(gap, _GAP))
            yield now, now, [(one.key, one.take(now, v)) for one, v in batch.items()]
            before = now

    def _batches(self) -> Iterator[tuple[float, dict[_Series, float]]]:
        """Samples that were taken together, within half of the interval."""
        batch: dict[_Series, float] = {}
        begun = now = 0.0
        for place in self._order():
            at = self._times[place]
            if batch and at - begun > self.interval / 2:
                yield now, batch
                batch = {}
            begun = at if not batch else begun
            now = at
            batch[self.series[self._which[place]]] = self._values[place]
        if batch:
            yield now, batch

    def _between(
        self, before: float, now: float, batch: dict[_Series, float], gap: float
    ) -> Iterator[_Moment]:
        """Straight lines between samples that are too far apart for short windows."""
        if gap > 3 * self.interval:
            return
        steps = ceil(gap / _OFTEN)
        known = [
            (one.key, one.value, (value - one.value) / steps)
            for one, value in batch.items()
            if one.at == before and not (one.counter and value < one.value)
        ]
        for step in range(1, steps):
            at = before + gap * step / steps
            yield now, at, [(key, value + step * by) for key, value, by in known]


def _silence(begin: float, length: float) -> Iterator[_Moment]:
    for step in range(1, int(length / _OFTEN)):
        yield begin + step * _OFTEN, begin + step * _OFTEN, []


class _Missing:
    """What a recording does not have, and what it has allows to tell."""

    def __init__(self, replay: Replay) -> None:
        self._no_uptime = _UPTIME not in replay.sources
        aged = {one.key[:2] for one in replay.series if one.key[2] == _AGE}
        self._unaged = {one.key[:2] for one in replay.series} - aged
        self._series = replay.series
        self._began: dict[str, float] = {}
        self._counts: dict[tuple[str, str], deque[tuple[float, float]]] = {}
        self._ages: dict[tuple[str, str], tuple[float, float]] = {}
        self.pipelines = sorted({one.key[0] for one in replay.series} | {""})

    def uptimes(self, now: float) -> Iterator[tuple[str, float]]:
        """Each pipeline's process, and how long it has been up at the least."""
        if not self._no_uptime:
            return
        for one in self._series:
            if one.restarted and one.at == now:
                self._began[one.key[0]] = now
        for pipeline in self.pipelines:
            began = self._began.setdefault(pipeline, now)
            yield pipeline, now - max(began, self._began.get("", began))

    def age(self, now: float, key: _Key, value: float) -> float | None:
        """Little's law: how long the last event of a queue will have waited."""
        where = key[:2]
        if where not in self._unaged:
            return None
        if key[2] == _COUNT:
            counts = self._counts.setdefault(where, deque())
            if counts and value < counts[-1][1]:
                counts.clear()
            counts.append((now, value))
            while counts[0][0] < now - _RATE_OVER:
                counts.popleft()
        if key[2] != _SIZE or where not in self._counts:
            return None
        counts = self._counts[where]
        at, before = self._ages.get(where, (now, 0.0))
        done = counts[-1][1] - counts[0][1]
        if not value:
            age = 0.0
        elif done > 0:
            age = value * (counts[-1][0] - counts[0][0]) / done
        else:
            age = before + now - at
        self._ages[where] = now, age
        return age


def score(
    samples: Iterable[Sample], rules: Iterable[Rule]
) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """Evaluate rules at every time of a recording.

    Args:
        samples: What ``read`` gives, in any order.
        rules: The rules.

    Returns:
        The alerts that fired, in order, and the rules that lacked an input.
    """
    replay = Replay(samples)
    missing = _Missing(replay)
    evaluator = Evaluator(rules)
    order = {rule.identity: place for place, rule in enumerate(evaluator.rules)}
    found: list[dict[str, Any]] = []
    opened: dict[int, dict[str, Any]] = {}
    told: list[Standing] = []
    for now, at, batch in replay.moments():
        for pipeline, uptime in missing.uptimes(at):
            evaluator.add(at, _UPTIME, uptime, base=_process(pipeline))
        for key, value in batch:
            _give(evaluator, missing, at, key, value)
        changes = evaluator.tick(at)
        for one in sorted(changes.fired, key=lambda one: order[one.rule.identity]):
            opened[id(one)] = {
                "alert": one.rule.name,
                "severity": one.rule.severity,
                "stage": one.name,
                "time": now,
                "resolved": None,
            }
            found.append(opened[id(one)])
            told.append(one)  # keeps its id its own
        for one in changes.resolved:
            opened[id(one)]["resolved"] = now
    return found, evaluator.quiet()


def _process(pipeline: str) -> dict[str, str]:
    """Each pipeline may be a process of its own; what a recording says is of all."""
    return {"instance": pipeline} if pipeline else {}


def _give(
    evaluator: Evaluator, missing: _Missing, at: float, key: _Key, value: float
) -> None:
    pipeline, stage, source = key
    if source == _UPTIME:
        for one in missing.pipelines:
            evaluator.add(at, source, value, base=_process(one))
        return
    base = _process(pipeline)
    if SOURCES[source].scope == PROCESS:
        evaluator.add(at, source, value)
        return
    evaluator.add(at, source, value, pipeline=pipeline, name=stage, base=base)
    if source == _SIZE:  # a queue is called by the stage behind it
        evaluator.add(
            at, "stage.waiting", value, pipeline=pipeline, name=stage, base=base
        )
    age = missing.age(at, key, value)
    if age is not None:
        evaluator.add(at, _AGE, age, pipeline=pipeline, name=stage, base=base)
