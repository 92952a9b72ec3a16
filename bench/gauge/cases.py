"""A contestant from within: what it runs, its bare twin, and how both are timed.

Time is CPU time of the whole process: it leaves out what other programs on the machine
take, and includes what a contestant moves to threads of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import process_time as cpu

#: Runs so many events and returns the seconds of CPU that they took.
Side = Callable[[int], float]
Function = Callable[[object], object]
#: Measures once: name of a figure to its value.
Round = Callable[[], dict[str, float]]

#: Seconds of CPU that one loop should take: short, so that some meet a quiet moment.
_LONG = 0.008
#: Loops of which the best one counts.
LOOPS = 9


def nothing() -> None:
    """Leave things as they are."""


def calls(function: Function, settle: Callable[[], object] = nothing) -> Side:
    """Call a function once for each event.

    Args:
        function: What to call.
        settle: Finishes what the calls left to do later; its time counts.
    """

    def side(number: int) -> float:
        events = range(number)
        start = cpu()
        for event in events:
            function(event)
        settle()
        return cpu() - start

    return side


@dataclass(frozen=True)
class Case:
    """An observed thing and the same without an observer.

    Attributes:
        observed: Runs it observed.
        bare: Runs its twin.
    """

    observed: Side
    bare: Side

    def rounds(self) -> Round:
        """Warm up; what is returned measures microseconds per event, and the twin's."""
        self.bare(200)
        self.observed(200)
        number = 1000
        seconds = self.observed(number)
        number = max(int(number * _LONG / seconds), 200)

        def once() -> dict[str, float]:
            pairs = [(self.bare(number), self.observed(number)) for _ in range(LOOPS)]
            bare, both = (min(side) for side in zip(*pairs, strict=True))
            micro = 1e6 / number
            return {"us": (both - bare) * micro, "bare": bare * micro}

        return once


def answer(once: Round) -> None:
    """Be a contestant's process: for each line on stdin, measure and print."""
    import json

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        sys.stdout.write(json.dumps(once()) + "\n")
        sys.stdout.flush()
