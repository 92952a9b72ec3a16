"""How much is recorded: basic, normal or detailed, switched while the program runs.

The level in force is the user's choice, or one below it where the budget asked for
that. Workers learn of it by their alert bits, so a level costs nothing where it is not
needed: basic leaves the short path as it is, detailed sends every call the full way.
"""

from __future__ import annotations

import os
import threading
from time import time_ns
from typing import TYPE_CHECKING, Final, Literal

from stagelight import _own_names, _sinks
from stagelight._errors import ConfigurationError
from stagelight._sinks import EventRecord
from stagelight._slots import DETAILED
from stagelight._tracer import TRACER
from stagelight._workers import WORKERS, set_alert

if TYPE_CHECKING:
    from collections.abc import Callable

Level = Literal["basic", "normal", "detailed"]


class Detail:
    """The level that the user chose, and the one in force.

    Attributes:
        chosen: The user's.
        level: The one in force, never above it.
        asked: Whether the program chose it, which configuration does not change.
        budget: Share of a worker's busy time that recording may take, 0 for any.
        changed: Told when the user chose another one.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.chosen: Level = "normal"
        self.level: Level = "normal"
        self.asked = False
        self.budget = 0.02
        self.changed: list[Callable[[], None]] = []

    def choose(self, level: Level) -> None:
        """Take the user's choice, which ends whatever the budget decided.

        Args:
            level: The level.
        """
        with self.lock:
            self.chosen = level
            self.change(level, "chosen")
            for tell in self.changed:
                tell()

    def change(
        self, level: Level, reason: str, attributes: dict[str, float] | None = None
    ) -> None:
        """Record as much from now on; one log event where that is a change.

        Args:
            level: The level, at most the chosen one.
            reason: Why, in words.
            attributes: What led to it.
        """
        with self.lock:
            before, self.level = self.level, level
            if before == level:
                return
            TRACER.mute(on=level == "basic")
            for worker in list(WORKERS):
                # What was done lightly so far belongs to no journey to come.
                worker.trail = worker.journey = None
                if worker.turn is not None and worker.turn.queue is None:
                    worker.turn = None
            set_alert(DETAILED, on=level == "detailed")
        _sinks.announce(
            EventRecord(
                name=_own_names.DETAIL_EVENT,
                pipeline="",
                stage=None,
                queue=None,
                time_ns=time_ns(),
                attributes={
                    _own_names.LEVEL: level,
                    _own_names.LEVEL_BEFORE: before,
                    _own_names.REASON: reason,
                    **(attributes or {}),
                },
            )
        )

    def after_fork(self) -> None:
        """Free what another thread of the parent held."""
        self.lock = threading.RLock()


DETAIL: Final = Detail()


def detail(level: Level | None = None) -> Level:
    """Tell how much is recorded, or choose it: ``basic``, ``normal`` or ``detailed``.

    ``basic`` counts and times every call, queue and worker, and gives failures a trace
    of their own; ``normal`` adds journeys: ids for logs, traces of a sample and of what
    failed or was slow; ``detailed`` adds processor time and batch sizes of each call.
    Calls that are open keep the level that they began with.

    Args:
        level: The level from now on, which the budget may go below; None to only ask.

    Returns:
        The level in force: the chosen one, or a lower one that the budget asked for.

    Raises:
        ConfigurationError: There is no such level.
    """
    if level is not None:
        DETAIL.asked = True
        DETAIL.choose(as_level(level, "stagelight.detail()"))
    return DETAIL.level


detail.__module__ = "stagelight"


def set_up(level: Level, budget: float) -> None:
    """Take what was configured, unless the program has chosen a level by itself.

    Args:
        level: The level.
        budget: Share of a worker's busy time that recording may take, 0 for any.
    """
    DETAIL.budget = budget
    if not DETAIL.asked:
        DETAIL.choose(level)


def as_level(level: object, place: str) -> Level:
    """A level by its name.

    Args:
        level: The name.
        place: Where it was given.

    Raises:
        ConfigurationError: There is no such level.
    """
    if level not in _own_names.LEVELS:
        known = ", ".join(_own_names.LEVELS)
        raise ConfigurationError(f"{place}: {level!r} is no level; there are {known}")
    return level


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=DETAIL.after_fork)
