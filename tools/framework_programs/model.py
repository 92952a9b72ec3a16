"""What a program is, and what a run of it gave."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GITHUB = "https://github.com/"
#: Programs of ours: of frameworks that have none of their own, or whose cannot be had.
OWN = Path(__file__).with_name("own")


@dataclass
class Run:
    """One run of a program.

    Attributes:
        codes: Exit codes of its commands.
        stdout: What they wrote, less what no two runs have in common.
        stderr: The rest.
        seconds: Wall time.
        cpu: Processor time of all its processes.
        counts: Finished calls by stage and outcome.
        traces: How many traces have stages in them.
    """

    codes: list[int]
    stdout: str
    stderr: str
    seconds: float = 0
    cpu: float = 0
    counts: Counter[str] = field(default_factory=Counter)
    traces: int = 0


@dataclass
class Program:
    """One example program.

    Attributes:
        name: Its name in the table.
        commands: Its commands, which run one after the other; one that begins with
            `&` runs beside those that follow, and is waited for at the end; with `&!`,
            it is ended once they are done. `?redis KEY N` waits for a list of redis to
            have a length, `?port N` for somebody to listen.
        expected: What the counts must be, or what says so by the run.
        traces: How many traces, or what says so by the run.
        cwd: Made anew for each run from this folder, or empty.
        env: Further variables.
        redis: Whether it needs one.
        clean: Folders that it leaves behind.
        tidy: Brings its output into a form that two runs have in common.
        sources: The folder of the framework's sources that it needs.
        instead_of: The folder of sources in whose absence alone it is run.
    """

    name: str
    commands: list[str]
    expected: dict[str, int] | Callable[[Run], dict[str, int]]
    traces: int | Callable[[Run], int] = 1
    cwd: Path | None = None
    env: dict[str, str] = field(default_factory=dict)
    redis: bool = False
    clean: tuple[str, ...] = ()
    tidy: Callable[[str], str] = lambda text: text
    sources: Path | None = None
    instead_of: Path | None = None


def done(stages: str, number: int = 1) -> dict[str, int]:
    """Counts of stages that succeed.

    Args:
        stages: Their names, between spaces.
        number: How often each.
    """
    return {f"{stage} success": number for stage in stages.split()}
