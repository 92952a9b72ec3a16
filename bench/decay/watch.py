"""One decay, live: hours in a minute, each alert as it fires."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from bench.decay.baseline import collapse_rules
from bench.decay.families import FAULTS, TUNED, Fault
from bench.decay.lab import Listener, is_collapsed
from bench.decay.model import HOUR, STEP
from bench.decay.unseen import LOOKED_AT, UNSEEN

from stagelight.alerts._defaults import default_rules
from stagelight.alerts._evaluator import Evaluator
from stagelight.alerts._notice import notice

if TYPE_CHECKING:
    import argparse

FAMILIES = {**FAULTS, **TUNED, **LOOKED_AT, **UNSEEN}
#: A line of the course each so often.
_EVERY = 900.0


def _clock(now: float) -> str:
    return f"{int(now // HOUR):02}:{int(now % HOUR // 60):02}"


def _course(fault: Fault, now: float) -> str:
    world = fault.world
    queues = "  ".join(
        f"{one.name} {one.queue / one.capacity:4.0%}" for one in world.stages
    )
    return f"{_clock(now)}  queues {queues}  memory {world.memory / world.limit:4.0%}"


class _Teller:
    """Prints what a set of rules says that it did not say before."""

    def __init__(self, listener: Listener, mark: str) -> None:
        self._listener = listener
        self._mark = mark
        self.add = listener.evaluator.add
        self.first: float | None = None

    def tick(self, now: float) -> None:
        """Evaluate, and print what is new."""
        before = len(self._listener.alarms)
        self._listener.tick(now)
        new = self._listener.alarms[before:]
        for one in self._listener.evaluator.standing():
            if one.fired == now and new:
                told = notice(one, now, [one.name])
                print(f"{_clock(now)}  {self._mark} {told.severity}: {told.summary}")
                print(f"       {' ' * len(self._mark)} {told.description}")
        if new and self.first is None:
            self.first = now


def run(options: argparse.Namespace) -> int:
    """Show it.

    Args:
        options: ``family``, ``seed`` and ``minutes``.
    """
    fault = FAMILIES[options.family](options.seed)
    print(
        f"{options.family}, seed {options.seed}: {fault.stage or 'the process'} decays "
        f"from {_clock(fault.onset)} on. {FAMILIES[options.family].__doc__}"
    )
    ours = _Teller(Listener(Evaluator(default_rules())), "▲ stagelight")
    usual = _Teller(Listener(Evaluator(collapse_rules())), "△ usual threshold")
    end = fault.onset + 2.5 * fault.length
    pause = options.minutes * 60 / ((fault.onset + fault.length) / STEP)
    now, shown = 0.0, 0.0
    due = time.monotonic()
    while now < end and not is_collapsed(fault.world):
        now += STEP
        fault.world.step(now)
        for at, pipeline, stage, source, value in fault.world.rows(now):
            for one in (ours, usual):
                one.add(at, source, value, pipeline=pipeline, name=stage)
        if now - shown >= _EVERY:
            print(_course(fault, now))
            shown = now
        ours.tick(now)
        usual.tick(now)
        due += pause
        sys.stdout.flush()
        time.sleep(max(due - time.monotonic(), 0.0))
    print(f"{_clock(now)}  ■ collapse" if now < end else f"{_clock(now)}  no collapse")
    for name, one in (("stagelight", ours), ("the usual thresholds", usual)):
        if one.first is None:
            print(f"{name}: nothing")
        else:
            left = (now - one.first) / (now - fault.onset)
            minutes = (now - one.first) / 60
            print(f"{name}: {minutes:.0f} minutes before, {left:.0%} of the decay left")
    return 0
