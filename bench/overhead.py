"""Measure what observing costs, beside the other ways to do it, against its bounds.

Every contestant runs in an interpreter of its own, and all take turns, round after
round. What is measured is CPU time, of the best of several loops, less the best of as
many loops over the contestant's own bare twin; ratios are made within a round, and the
median of the rounds counts. So a busy machine changes little. The stages do nothing:
what is left is the observer.

    python bench/overhead.py                # everything
    python bench/overhead.py --quick calls  # one room, quickly
    python bench/overhead.py --record       # and append the ratios to history.json
    python bench/overhead.py --check        # fail if a ratio is 15 % worse
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import platform
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gauge import figures, history, lineup, programs, table
from gauge.cases import answer
from gauge.turns import Turn, take_turns

if TYPE_CHECKING:
    from gauge.figures import Figure

SCRIPT = Path(__file__).resolve()
ROOMS = ("calls", "growth", "collection", "memory", "capture", "programs")


@dataclass
class Options:
    """What to measure, and how thoroughly."""

    rounds: int
    events: int
    only: str
    frameworks: Path
    turns: dict[str, list[Turn]] = field(default_factory=dict)


def tell(text: str) -> None:
    """Say how far it is."""
    sys.stderr.write(f"\r\x1b[K{text}" if sys.stderr.isatty() else f"{text}\n")
    sys.stderr.flush()


def measure(room: str, options: Options) -> list[Figure]:
    """Measure one room.

    Args:
        room: Which.
        options: How.
    """
    if room == "programs":
        return programs.measure(options.rounds, options.frameworks, tell)
    if room == "memory":
        # A process that gave memory back would take the same again: each round is new.
        turns = [
            turn
            for _ in range(min(options.rounds, 3))
            for turn in take_turns(SCRIPT, [lineup.MEMORY], 1, tell)
        ]
        return figures.memory(turns)
    if room == "collection":
        turns = take_turns(SCRIPT, [lineup.COLLECTION], options.rounds, tell)
        return figures.collection(turns)
    if room == "capture":
        turns = take_turns(SCRIPT, lineup.CAPTURED, options.rounds, tell)
        return figures.capture(turns)
    if room == "growth":
        events = [
            name for name, most in lineup.EVENTS.items() if most <= options.events
        ]
        names = [lineup.STAGES, lineup.THREADS, *events]
        return figures.growth(take_turns(SCRIPT, names, options.rounds, tell))
    names = [
        name
        for name in lineup.CALLS
        if name in lineup.OTHERS or fnmatch.fnmatch(name, options.only)
    ]
    options.turns[room] = turns = take_turns(SCRIPT, names, options.rounds, tell)
    return figures.calls(turns)


def report(room: str, found: list[Figure], options: Options) -> None:
    """Print one room's tables."""
    tell("")
    print(f"\n### {room}\n")
    if room in options.turns:
        print(table.costs(options.turns[room]) + "\n")
    print(table.figures(found), flush=True)


def check(found: dict[str, list[Figure]], options: Options) -> int:
    """Compare with the history; what is worse is measured again before it counts.

    Args:
        found: The figures of each room.
        options: As they were measured.

    Returns:
        The exit code.
    """
    before = history.recorded(history.read(), platform.python_version())
    if not before:
        version = ".".join(platform.python_version_tuple()[:2])
        print(f"bench/history.json has no record for Python {version}: run --record")
        return 2
    problems = []
    for room, first in found.items():
        now = figures.ratios(first)
        if history.worse(now, before):
            print(f"\n{room} is worse than recorded: measured once more", flush=True)
            again = figures.ratios(measure(room, options))
            now = history.better_of(now, again)
        problems += history.worse(now, before)
    print()
    for problem in problems:
        print(problem)
    print(f"{len(problems)} ratios are {history.TOLERANCE:.0%} worse than recorded")
    return 1 if problems else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("rooms", nargs="*", metavar="ROOM", help=", ".join(ROOMS))
    made.add_argument("--rounds", type=int, default=7)
    made.add_argument(
        "--quick", action="store_true", help="3 rounds, 1,000,000 events, no programs"
    )
    made.add_argument(
        "--only", default="*", metavar="GLOB", help="of stagelight's calls"
    )
    made.add_argument("--frameworks", type=Path, default=programs.FRAMEWORKS)
    made.add_argument("--record", action="store_true", help="append to history.json")
    made.add_argument("--check", action="store_true", help="compare with history.json")
    made.add_argument("--json", type=Path, help="write the figures there as well")
    made.add_argument("--contestant", help=argparse.SUPPRESS)
    return made


def main() -> None:
    """Parse the command line, measure, print."""
    arguments = parser().parse_args()
    if arguments.contestant:
        answer(lineup.contestant(arguments.contestant))
        return
    unknown = set(arguments.rooms) - set(ROOMS)
    if unknown:
        parser().error(f"no room {', '.join(sorted(unknown))}; there are {ROOMS}")
    short = arguments.quick or arguments.check
    rounds = 3 if arguments.quick else arguments.rounds
    events = 1_000_000 if short else 10_000_000
    options = Options(rounds, events, arguments.only, arguments.frameworks)
    rooms = arguments.rooms or (ROOMS[:-1] if short else ROOMS)
    print(f"Python {platform.python_version()}, CPU time, {rounds} rounds")
    found = {}
    for room in rooms:
        found[room] = measure(room, options)
        report(room, found[room], options)
    everything = [figure for part in found.values() for figure in part]
    if arguments.json:
        document = {
            "turns": options.turns,
            "figures": [asdict(figure) for figure in everything],
        }
        text = json.dumps(document, indent=1) + "\n"
        arguments.json.write_text(text, encoding="utf-8")
    if arguments.record:
        history.append(figures.ratios(everything))
    if arguments.check:
        sys.exit(check(found, options))


if __name__ == "__main__":
    main()
