"""Contestants take turns, each in an interpreter of its own.

A busy machine, and one that changes its pace, slows down all of them alike, so what is
compared are figures of the same turn.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

#: Contestant to its figures.
Turn = dict[str, dict[str, float]]


def environment() -> dict[str, str]:
    """The environment without what would change a contestant's set-up."""
    theirs = ("OTEL_", "STAGELIGHT_", "LOGFIRE_", "PYTHONDEVMODE", "PYTHONASYNCIODEBUG")
    # An installed package has its bytecode: to compile it at each start is no cost.
    theirs += ("PYTHONDONTWRITEBYTECODE",)
    kept = {
        key: value
        for key, value in os.environ.items()
        if key == "STAGELIGHT_NATIVE" or not key.startswith(theirs)
    }
    # Where things lie in memory should not decide.
    return {**kept, "PYTHONHASHSEED": "0"}


class Contestant:
    """One contestant in an interpreter of its own.

    Args:
        script: The program to start.
        name: Which contestant it is to be.
    """

    def __init__(self, script: Path, name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, str(script), "--contestant", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def wait(self) -> None:
        """Wait until it is warm."""
        self._line()

    def _line(self) -> str:
        stdout = self._process.stdout
        line = stdout.readline() if stdout else ""
        if not line:
            raise SystemExit(f"bench: {self.name} ended; see its error above")
        return line

    def round(self) -> dict[str, float]:
        """One turn of it."""
        stdin = self._process.stdin
        if stdin is not None:
            stdin.write("\n")
            stdin.flush()
        figures: dict[str, float] = json.loads(self._line())
        return figures

    def close(self) -> None:
        """End it."""
        self._process.communicate("")


def take_turns(
    script: Path,
    names: Iterable[str],
    rounds: int,
    tell: Callable[[str], None],
) -> list[Turn]:
    """All contestants, round after round.

    Args:
        script: The program that can be any contestant.
        names: Who takes part.
        rounds: How many turns each takes.
        tell: Is told how far it is.
    """
    contestants: list[Contestant] = []
    turns: list[Turn] = []
    try:
        for name in names:
            # One after the other, or they would slow down each other's start.
            contestants.append(Contestant(script, name))
            contestants[-1].wait()
            tell(f"{name} is ready")
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            turns.append({one.name: one.round() for one in contestants})
    finally:
        for one in contestants:
            one.close()
    return turns
