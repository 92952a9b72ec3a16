"""Records less where recording takes too large a share of a worker's busy time.

Down one level after ten seconds above the budget; up again only after a minute in which
the upper level would have taken less than half of it, as its cost was measured when it
was left. Each time that this was a mistake the next one takes twice as long, up to an
hour. So a load that stays the same changes the level at most once.
"""

from __future__ import annotations

import os
import threading
from time import perf_counter_ns as clock
from typing import Final

from stagelight import _own_names
from stagelight._cells import NANOSECONDS
from stagelight._detail import DETAIL, Level
from stagelight._toll import ON_RECKONED
from stagelight._tracer import TRACER

_WINDOW: Final = NANOSECONDS
#: Windows above the budget until less is recorded.
_PATIENCE: Final = 10
#: Windows far below it until more is, at first and at most; and how far below.
_QUIET: Final = 60
_LONGEST: Final = 3600
_FAR: Final = 0.5
#: A worker that is busy less than this share of its time counts for nothing.
_BUSY: Final = 0.05
_MOST: Final = 0.999


class Budget:
    """Watches the worst worker's share, window by window.

    Attributes:
        share: That of the last window with any busy worker.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.share = 0.0
        self._worst = -1.0
        self._ends = 0
        self._above = 0
        self._calm = 0
        self._quiet = _QUIET
        #: Cost over busy time just before each level was left for a lower one, and how
        #: many times less it was below.
        self._left: dict[Level, float] = {}
        self._gain: dict[Level, float] = {}

    def hear(self, cost: float, busy: int, passed: int) -> None:
        """Take one worker's reckoning into account.

        Args:
            cost: What recording took of its time, in nanoseconds.
            busy: What its calls took.
            passed: Nanoseconds that it is about.
        """
        if busy + cost < passed * _BUSY or not self.lock.acquire(blocking=False):
            return
        try:
            now = clock()
            if now >= self._ends:
                if self._worst >= 0:
                    self._judge(self._worst)
                self._ends, self._worst = now + _WINDOW, -1.0
            self._worst = max(self._worst, cost / (busy + cost))
        finally:
            self.lock.release()

    def _judge(self, share: float) -> None:
        """Decide after a window."""
        self.share = share
        budget, level = DETAIL.budget, DETAIL.level
        if not budget:
            return
        self._above = self._above + 1 if share > budget else 0
        lower = _next(level, -1)
        if self._above >= _PATIENCE and lower is not None and may_go(lower):
            self._left[level] = _odds(share)
            self._above = self._calm = 0
            self._gain.pop(level, None)
            self._change(lower, share, "its cost was above the budget")
            return
        upper = _next(level, 1)
        if upper is None or level == DETAIL.chosen:
            return
        if self._would_be(upper, share) < budget * _FAR:
            self._calm += 1
            if self._calm >= self._quiet:
                self._calm = 0
                self._quiet = min(self._quiet * 2, _LONGEST)
                self._change(upper, share, "its cost is far below the budget again")
        else:
            self._calm = 0

    def _would_be(self, upper: Level, share: float) -> float:
        """The share at the level above, by what going down has saved."""
        gain = self._gain.get(upper)
        if gain is None:
            before = self._left.get(upper, _odds(share))
            gain = self._gain[upper] = max(before / max(_odds(share), 1e-9), 1.0)
        odds = _odds(share) * gain
        return odds / (1 + odds)

    @staticmethod
    def _change(level: Level, share: float, reason: str) -> None:
        told = {
            _own_names.COST_SHARE: round(share, 4),
            _own_names.COST_BUDGET: DETAIL.budget,
        }
        DETAIL.change(level, reason, told)

    def forget(self) -> None:
        """Begin anew: the user chose a level, or a child was forked."""
        self._above = self._calm = 0
        self._quiet = _QUIET
        self._left.clear()
        self._gain.clear()

    def after_fork(self) -> None:
        """Free what another thread of the parent held."""
        self.lock = threading.Lock()
        self.share, self._worst, self._ends = 0.0, -1.0, 0
        self.forget()


def _odds(share: float) -> float:
    return share / (1 - min(share, _MOST))


def _next(level: Level, step: int) -> Level | None:
    place = _own_names.LEVELS.index(level) + step
    known: tuple[Level, ...] = ("basic", "normal", "detailed")
    return known[place] if 0 <= place < len(known) else None


def may_go(level: Level) -> bool:
    """Whether the budget may go to a level: it costs less, and breaks no promise.

    Traces that were asked for stay: by a sampler, for all journeys, or by a caller
    whose own trace is recorded.

    Args:
        level: The level.
    """
    if level != "basic":
        return True
    return (
        TRACER.on
        and not TRACER.sdk_decides
        and not TRACER.followed
        and TRACER.budget is not None
    )


BUDGET: Final = Budget()


def register() -> None:
    """Keep to the budget from now on."""
    ON_RECKONED.append(BUDGET.hear)
    DETAIL.changed.append(BUDGET.forget)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=BUDGET.after_fork)
