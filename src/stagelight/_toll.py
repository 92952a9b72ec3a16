"""What recording costs each worker: its own work, timed by samples.

No call is timed for this as such. Now and then, where a worker folds its samples, it
also times some calls of a stage of our own that does nothing, on the path that its own
calls take. Calls that take the full path are timed one in thirty-two, failures and
folding always. What that comes to is reckoned by the worker itself once a second.
"""

from __future__ import annotations

import os
import threading
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Final

from stagelight._cells import NANOSECONDS
from stagelight._tracer import TRACER
from stagelight._workers import ON_RETIRE

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._slots import Worker

#: Of so many calls on the full path one is timed.
FULL_SAMPLE: Final = 32
#: Nanoseconds between two samples of a worker, and between two times it reckons.
SAMPLE: Final = 100_000_000
_RECKON: Final = NANOSECONDS
#: Stages of a worker that it reckons over in one such time; more take more time.
_STAGES: Final = 16
#: A new sample's weight, and how many times what was known it may be at most: what is
#: longer was interrupted.
_WEIGHT: Final = 1 / 16
_LONGEST: Final = 4.0
INTERRUPTED: Final = 200_000
#: Nanoseconds after which the processor's caches have forgotten a call.
_FORGOTTEN: Final = 200_000
#: Until a coroutine or an item was sampled: multiples of the plain call of its kind.
_UNKNOWN: Final = 2.0
#: Costs as multiples of ``Costs.plain``: bench/selfcost.py compares.
_PUT: Final = 15.0
_PUT_TRACED: Final = 38.0
_GET: Final = 9.0
_GET_TRACED: Final = 16.0

#: Hears of each worker's reckoning: cost, busy time and time that passed, in
#: nanoseconds.
ON_RECKONED: Final[list[Callable[[float, int, int], None]]] = []


class Costs:
    """What one call costs on each path, in nanoseconds, as the samples say.

    Attributes:
        short: Where nothing is traced, one right after another.
        light: Outside of the head sample, as well.
        short_cold: Where nothing is traced, after something else for a while.
        light_cold: Outside of the head sample, as well.
        coroutine: A coroutine's; the same four of them.
        item: An item's of a generator; the same four.
        full: All others: nested, sampled, or of the level detailed.
        run: Of a coroutine or generator that takes the full path.
        plain: A short function of ours in Python, the unit of what is not sampled.
    """

    __slots__ = (
        "coroutine",
        "coroutine_cold",
        "coroutine_light",
        "coroutine_light_cold",
        "full",
        "item",
        "item_cold",
        "item_light",
        "item_light_cold",
        "light",
        "light_cold",
        "plain",
        "run",
        "short",
        "short_cold",
    )

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0.0)
        self.light: float
        self.full: float
        self.run: float
        self.plain: float

    def learn(self, path: str, took: float) -> None:
        """Take a sample into account.

        Args:
            path: Name of the attribute.
            took: Nanoseconds.
        """
        known: float = getattr(self, path)
        if known:
            took = known + (min(took, known * _LONGEST) - known) * _WEIGHT
        setattr(self, path, took)

    def call(self, path: str, apart: float) -> float:
        """What a call costs.

        Args:
            path: ``short`` or ``light``; while nothing is known of that, the other.
            apart: Nanoseconds between calls: the caches forget.
        """
        if not getattr(self, path):
            path = "light" if path == "short" else "short"
        return self._at(path, apart)

    def _at(self, path: str, apart: float) -> float:
        hot: float = getattr(self, path)
        cold: float = getattr(self, f"{path}_cold")
        return hot + max(cold - hot, 0) * min(apart / _FORGOTTEN, 1)

    def other(self, kind: str, apart: float, *, traced: bool) -> float:
        """What a coroutine or an item costs; while that is not known, by a call.

        Args:
            kind: ``coroutine`` or ``item``.
            apart: Nanoseconds between them.
            traced: Whether they have deferred spans.
        """
        path = f"{kind}_light" if traced else kind
        if getattr(self, path):
            return self._at(path, apart)
        return _UNKNOWN * self.call("light" if traced else "short", apart)


COSTS: Final = Costs()


class Reckoning:
    """What recording cost, in nanoseconds, and what for.

    Attributes:
        cost: The cost.
        busy: Busy time of the calls.
        calls: Their number.
    """

    __slots__ = ("busy", "calls", "cost")

    def __init__(self, cost: float = 0.0, busy: int = 0, calls: int = 0) -> None:
        self.cost = cost
        self.busy = busy
        self.calls = calls

    def add(self, other: Reckoning) -> None:
        """Add another one."""
        self.cost += other.cost
        self.busy += other.busy
        self.calls += other.calls


class Toll:
    """One worker's reckoning, written by its thread only.

    Attributes:
        fulls: Calls that took the full path.
        runs: Coroutines and generators that did.
        apart: Time spent with failures and with folding, which is all timed.
    """

    __slots__ = (
        "_marks",
        "_next",
        "_since",
        "apart",
        "fulls",
        "runs",
        "sample_due",
        "whole",
    )

    def __init__(self, now: int) -> None:
        self.fulls = 0
        self.runs = 0
        self.apart = 0
        self.whole = Reckoning()
        self.sample_due = now + SAMPLE
        self._since = now
        self._next = now + _RECKON
        self._marks: tuple[int, ...] = (0,) * 9

    def sampled(self) -> int:
        """Count a call on the full path; the clock where it is to be timed, else 0."""
        self.fulls += 1
        return 0 if self.fulls % FULL_SAMPLE else clock()

    def rest(self, worker: Worker) -> Reckoning:
        """What came since the last reckoning; anybody may ask.

        Args:
            worker: Whose it is.
        """
        return self._between(self._marks, self._now(worker))

    def reckon(self, worker: Worker, now: int) -> None:
        """Reckon, where it is time to.

        Args:
            worker: Whose it is.
            now: The clock.
        """
        if now < self._next:
            return
        marks = self._now(worker)
        found = self._between(self._marks, marks)
        self.whole.add(found)
        self._marks = marks
        passed, self._since = now - self._since, now
        self._next = now + _RECKON * max(len(worker.slots) // _STAGES, 1)
        for tell in ON_RECKONED:
            tell(found.cost, found.busy, passed)

    def _now(self, worker: Worker) -> tuple[int, ...]:
        """Calls, coroutines, items, gets, puts, busy time, fulls, runs, time apart."""
        calls = coroutines = items = gets = puts = busy = 0
        for slot in list(worker.slots):
            stage = slot.stage
            if not stage.timed:
                continue
            number = slot.finished
            busy += slot.busy
            if stage.kind == "call":
                calls += number
            elif stage.kind == "coroutine":
                coroutines += number
            else:
                items += number
            if stage.inputs:
                gets += number
            if stage.outputs:
                puts += number
        own = (self.fulls, self.runs, self.apart)
        return (calls, coroutines, items, gets, puts, busy, *own)

    @staticmethod
    def _between(before: tuple[int, ...], after: tuple[int, ...]) -> Reckoning:
        # A stage's first queue makes earlier calls ones of a fetched event: never less.
        calls, coroutines, items, gets, puts, busy, fulls, runs, apart = (
            max(now - then, 0) for then, now in zip(before, after, strict=True)
        )
        number = calls + coroutines + items
        pause = busy / number if number else 0
        traced = TRACER.on
        light = COSTS.call("light" if traced else "short", pause)
        plain = COSTS.plain or light
        cost = apart + max(calls - fulls, 0) * light
        cost += fulls * (COSTS.full or light) + runs * (COSTS.run or light)
        steps = max(coroutines - runs, 0)
        if steps:
            cost += steps * COSTS.other("coroutine", pause, traced=traced)
        if items:
            cost += items * COSTS.other("item", pause, traced=traced)
        get, put = (_GET_TRACED, _PUT_TRACED) if traced else (_GET, _PUT)
        cost += plain * (gets * get + puts * put)
        return Reckoning(cost, busy, number)


class _Ended:
    """What ended threads cost."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.whole = Reckoning()


_ENDED: Final = _Ended()


def toll_of(worker: Worker) -> Toll:
    """A worker's own, made on its first use by its thread.

    Args:
        worker: The worker.
    """
    toll = worker.toll
    if toll is None:
        toll = worker.toll = Toll(clock())
    return toll


def ended() -> Reckoning:
    """What threads cost that have ended."""
    with _ENDED.lock:
        found = Reckoning()
        found.add(_ENDED.whole)
        return found


def _on_retire(worker: Worker) -> None:
    toll = worker.toll
    if toll is not None:
        with _ENDED.lock:
            _ENDED.whole.add(toll.whole)
            _ENDED.whole.add(toll.rest(worker))


def _after_fork() -> None:
    _ENDED.__init__()  # type: ignore[misc]


ON_RETIRE.append(_on_retire)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
