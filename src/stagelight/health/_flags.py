"""What others know to be wrong: firing alerts, and the program itself."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Final, Literal

from stagelight._errors import ConfigurationError
from stagelight.health._machine import Facts, Sign

Level = Literal["degraded", "overloaded"]


@dataclass(frozen=True, slots=True)
class Flag:
    """One raised flag."""

    name: str
    level: Level
    pipeline: str
    stage: str | None
    sign: Sign


class Flags:
    """All raised flags by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flags: dict[str, Flag] = {}

    def set(self, flag: Flag) -> None:
        """Raise a flag, or change it."""
        with self._lock:
            self._flags[flag.name] = flag

    def clear(self, name: str | None = None) -> None:
        """Take a flag down, or all."""
        with self._lock:
            if name is None:
                self._flags.clear()
            else:
                self._flags.pop(name, None)

    def joined(self, facts: Facts, pipeline: str, stage: str | None) -> Facts:
        """Facts with the flags of their place.

        Args:
            facts: What is known without them.
            pipeline: Name of the pipeline, "" for the process.
            stage: Name of the stage, or None.
        """
        if not self._flags:
            return facts
        with self._lock:
            flags = list(self._flags.values())
        for flag in flags:
            if (flag.pipeline, flag.stage) == (pipeline, stage):
                if flag.level == "overloaded":
                    facts = replace(facts, pressed=flag.sign, overload_clear=False)
                else:
                    facts = replace(facts, raised=flag.sign, degraded_clear=False)
        return facts


FLAGS: Final = Flags()


def flag(  # noqa: PLR0913 - keyword only, most optional
    name: str,
    reason: str,
    *,
    level: Level = "degraded",
    pipeline: str = "",
    stage: str | None = None,
    value: float = 1.0,
    limit: float = 0.0,
) -> None:
    """Say that something is wrong, until ``unflag``: it shows in probes and page.

    It never fails liveness.

    Args:
        name: What to take it down by.
        reason: What is wrong, in words.
        level: ``degraded``, or ``overloaded``: then a pushed-to process is not ready.
        pipeline: Name of the pipeline; by default it is about the process.
        stage: Name of the stage.
        value: What was measured.
        limit: Where it begins to count.

    Raises:
        ConfigurationError: The level is none of the two.
    """
    if level not in {"degraded", "overloaded"}:
        raise ConfigurationError(
            f"health.flag({name!r}, level={level!r}): it takes 'degraded' or "
            "'overloaded'"
        )
    FLAGS.set(Flag(name, level, pipeline, stage, Sign(reason, value, limit)))


def unflag(name: str) -> None:
    """Take a flag down; one that is not raised is nothing to take down.

    Args:
        name: Its name.
    """
    FLAGS.clear(name)
