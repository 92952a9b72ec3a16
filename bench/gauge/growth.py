"""Contestants that show whether the cost of an event depends on how many there are."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from gauge.cases import Case, Round, calls, cpu
from gauge.stages import pipeline, prometheus_twins, stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gauge.cases import Function

STAGES = (1, 4, 16, 64, 256)
THREADS = (1, 4, 16, 64)
EVENTS = (10_000, 100_000, 1_000_000, 10_000_000)
BARE = "bare"
BY_HAND = "by hand"
_PER_THREAD = 2000
_LOOPS = 3


def _twins(number: int) -> list[Function]:
    """As many different functions that do nothing."""

    def make() -> Function:
        def twin(event: object) -> object:
            return event

        return twin

    return [make() for _ in range(number)]


def _in_turn(functions: Sequence[Function]) -> Function:
    number = len(functions)

    def call(event: Any) -> object:
        return functions[event % number](event)

    return call


def stages(mode: str) -> Round:
    """Events that go to one of so many stages, in turn.

    Beside it what the interpreter makes of as many functions, and a hand-written
    observer of them.
    """
    ours, _ = pipeline(mode)
    plain = _twins(max(STAGES))
    observed = [ours.stage(one, name=f"stage-{n}") for n, one in enumerate(plain)]
    by_hand = prometheus_twins(plain)
    # As many calls for each stage: a slot's first ones are dearer.
    cases, controls = (
        {
            number: Case(
                calls(_in_turn(those[:number])), calls(_in_turn(plain[:number]))
            ).rounds()
            for number in STAGES
        }
        for those in (observed, by_hand)
    )
    for one in (*observed, *by_hand):
        for event in range(2000):
            one(event)

    def once() -> dict[str, float]:
        found = {}
        for number in STAGES:
            ours_, theirs = cases[number](), controls[number]()
            found[f"{number}"] = ours_["us"]
            found[f"{BARE} {number}"] = ours_["bare"]
            found[f"{BY_HAND} {number}"] = theirs["us"]
        return found

    return once


def threads(mode: str) -> Round:
    """Events in so many threads at the same time."""
    ours, _ = pipeline(mode)
    observed = ours.stage(stage, name="stage")

    def once() -> dict[str, float]:
        return {
            f"{number}": (_threaded(observed, number) - _threaded(stage, number)) * 1e6
            for number in THREADS
        }

    once()
    return once


def _threaded(function: Function, number: int) -> float:
    """Seconds of CPU per event, the best of several loops."""
    return min(_loop(function, number) for _ in range(_LOOPS))


def _loop(function: Function, number: int) -> float:
    # All are there before the first begins, and none ends before the last is done.
    ready = threading.Barrier(number + 1)
    done = threading.Barrier(number + 1)

    def work() -> None:
        function(0)
        ready.wait()
        for event in range(_PER_THREAD):
            function(event)
        done.wait()

    workers = [threading.Thread(target=work) for _ in range(number)]
    for worker in workers:
        worker.start()
    start = cpu()
    ready.wait()
    done.wait()
    seconds = cpu() - start
    for worker in workers:
        worker.join()
    return seconds / (number * _PER_THREAD)


def after(mode: str, number: int) -> Round:
    """Events of a process that has seen so many already."""
    ours, _ = pipeline(mode)
    observed: Callable[[object], object] = ours.stage(stage, name="stage")
    calls(observed)(number)
    return Case(calls(observed), calls(stage)).rounds()
