"""Whole programs, bare and under ``stagelight run``: their processes' CPU time."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gauge.figures import Figure
from gauge.turns import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
_HERE = ROOT / "bench" / "programs"
FRAMEWORKS = ROOT / ".venv-frameworks" / "bin" / "python"
_NOTHING = _HERE / "nothing.py"
#: Threads of numerical libraries that wait for work burn CPU time.
_ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Program:
    """A program to measure.

    Attributes:
        title: What the report calls it.
        script: Its file.
        arguments: What it is given; ``PAGES`` becomes the address of the page server.
        needs: A module that it imports.
        bound: Of the CPU time observed over that bare.
        events: How many go through it: files, pages, batches, readings.
    """

    title: str
    script: Path
    arguments: tuple[str, ...] = ()
    needs: str = ""
    bound: float | None = None
    events: int = 0


_INDEX = ROOT / "examples" / "index_sources.py"
# The example as it is typed, and as many pages as `scrapy bench` fetches in its 10 s.
PROGRAMS = (
    Program("examples/index_sources.py", _INDEX, bound=1.03, events=1779),
    Program("scrapy", _HERE / "crawl.py", ("PAGES", "1200"), "scrapy", 1.03, 1200),
    Program("scikit-learn", _HERE / "digits.py", (), "sklearn", events=2160),
    Program("streamz", _HERE / "readings.py", (), "streamz", events=60_000),
)


@dataclass
class Times:
    """Seconds of CPU of one program, by round."""

    program: Program
    command: list[str]
    python: str
    bare: list[float] = field(default_factory=list)
    observed: list[float] = field(default_factory=list)
    unseen: list[float] = field(default_factory=list)
    exporting: list[float] = field(default_factory=list)


def measure(rounds: int, frameworks: Path, tell: Callable[[str], None]) -> list[Figure]:
    """Run everything in turns.

    Args:
        rounds: How often each program runs, in each way.
        frameworks: Interpreter that has the frameworks and stagelight.
        tell: Is told how far it is, and what is left out.
    """
    with ExitStack() as stack:
        sink = stack.enter_context(_server(_HERE / "sink.py"))
        pages = stack.enter_context(_server(_HERE / "pages.py"))
        all_times = []
        for program in PROGRAMS:
            python = _interpreter(program, frameworks)
            if not python:
                tell(f"{program.title} is left out: no {program.needs} in {frameworks}")
                continue
            arguments = [pages if one == "PAGES" else one for one in program.arguments]
            command = [str(program.script), *arguments]
            all_times.append(Times(program, command, python))
        starts = {
            python: Times(Program("start", _NOTHING), [str(_NOTHING)], python)
            for python in dict.fromkeys(times.python for times in all_times)
        }
        for number in range(rounds):
            for times in (*starts.values(), *all_times):
                tell(f"round {number + 1} of {rounds}: {times.program.title}")
                _round(times, sink, reverse=number % 2 == 1)
    found = [
        figure
        for times in all_times
        for figure in _figures(times, starts[times.python])
    ]
    start = starts.get(sys.executable)
    return found if start is None else [*_start(start), *found]


def _interpreter(program: Program, frameworks: Path) -> str:
    if not program.needs:
        return sys.executable
    if not frameworks.exists():
        return ""
    check = [str(frameworks), "-c", f"import stagelight, {program.needs}"]
    there = subprocess.run(check, capture_output=True, check=False).returncode == 0
    return str(frameworks) if there else ""


def _round(times: Times, sink: str, *, reverse: bool) -> None:
    """Run a program in each way, every other time in the other order."""
    run = ["-m", "stagelight", "run", "--no-table"]
    # A port of its own: at the usual one others may look, and so load the page.
    observed = [*run, "--listen", "127.0.0.1:0", *times.command]
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink}
    ways: list[tuple[list[float], list[str], dict[str, str]]] = [
        (times.bare, times.command, {}),
        (times.observed, observed, {}),
        (times.unseen, [*run, "--listen", "off", *times.command], {}),
        (times.exporting, observed, endpoint),
    ]
    for seconds, command, variables in reversed(ways) if reverse else ways:
        seconds.append(_cpu_of([times.python, *command], variables))


def _cpu_of(command: list[str], variables: dict[str, str]) -> float:
    """Seconds of CPU of a process and the children that it waited for."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment(), **_ALONE, **variables},
    )
    stdout, stderr = process.stdout, process.stderr
    said = stdout.read() if stdout else b""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        problem = stderr.read().decode() if stderr else ""
        raise SystemExit(f"bench: {command} failed\n{said.decode()}{problem}")
    process.communicate()
    return usage.ru_utime + usage.ru_stime


@contextmanager
def _server(script: Path) -> Iterator[str]:
    """A server that says its port, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True
    )
    try:
        port = process.stdout.readline().strip() if process.stdout else ""
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def _start(times: Times) -> list[Figure]:
    """What a start costs, which weighs little in a program that lasts."""
    ways = {
        "bare": times.bare,
        "observed": times.observed,
        "observed without a page": times.unseen,
        "observed and exporting": times.exporting,
    }
    found = [
        Figure(f"start of a program: {way}", tuple(seconds), "s")
        for way, seconds in ways.items()
    ]
    over = zip(times.observed, times.bare, strict=True)
    added = tuple(observed - bare for observed, bare in over)
    return [*found, Figure("start of a program: observed over bare", added, "s", 0.1)]


def _figures(times: Times, start: Times) -> list[Figure]:
    title, bound = times.program.title, times.program.bound
    found = [Figure(f"{title}: bare", tuple(times.bare), "s")]
    for way, observed, begun in (
        ("observed", times.observed, start.observed),
        ("observed without a page", times.unseen, start.unseen),
        ("observed and exporting", times.exporting, start.exporting),
    ):
        whole = zip(observed, times.bare, strict=True)
        net = list(zip(observed, begun, times.bare, start.bare, strict=True))
        found += [
            Figure(
                f"{title}: {way} / bare",
                tuple(one / other for one, other in whole),
                bound=bound,
            ),
            Figure(
                f"{title}: {way} / bare, net of the start",
                tuple((a - b) / (c - d) for a, b, c, d in net),
                bound=bound,
            ),
            Figure(
                f"{title}: {way}, added for each of {times.program.events:,} events",
                tuple(
                    (a - b - c + d) / times.program.events * 1e6 for a, b, c, d in net
                ),
                "us",
            ),
        ]
    return found
