"""Whole programs, bare and under ``stagelight run``: their processes' CPU time.

A program runs for seconds, in which the pace of a machine that others use as well goes
up and down by a tenth, of one processor more than of another. So a bare and an observed
one share a processor: what slows down one slows down the other. Two such pairs run at a
time, one on each of two processors, and begin in opposite order.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gauge.figures import Figure
from gauge.turns import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

ROOT = Path(__file__).resolve().parents[2]
_HERE = ROOT / "bench" / "programs"
FRAMEWORKS = ROOT / ".venv-frameworks" / "bin" / "python"
_NOTHING = _HERE / "nothing.py"
#: Threads of numerical libraries that wait for work burn CPU time.
_ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


#: How a program is observed.
OBSERVED = "observed"
UNSEEN = "observed without a page"
EXPORTING = "observed and exporting"


@dataclass(frozen=True)
class Program:
    """A program to measure.

    Attributes:
        title: What the report calls it.
        script: Its file.
        arguments: What it is given; ``PAGES`` becomes the address of the page server.
        needs: A module that it imports.
        bound: Of the CPU time observed over that bare, where nothing is exported: what
            an exporter costs is the SDK's as well.
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
    Program(
        "scrapy bench",
        _HERE / "crawl.py",
        ("PAGES", "1000"),
        "scrapy",
        bound=1.03,
        events=1000,
    ),
    Program("scikit-learn", _HERE / "digits.py", (), "sklearn", events=2160),
    Program("streamz", _HERE / "readings.py", (), "streamz", events=60_000),
)


@dataclass(frozen=True)
class Place:
    """Where a program runs, and the servers that it may ask there."""

    processor: int
    pages: str
    sink: str


@dataclass
class Times:
    """Seconds of CPU of one program, by way and round: bare, and observed beside it."""

    program: Program
    python: str
    pairs: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: {OBSERVED: [], UNSEEN: [], EXPORTING: []}
    )

    @property
    def bare(self) -> tuple[float, ...]:
        """All that were bare, beside whichever."""
        return tuple(bare for pairs in self.pairs.values() for bare, _ in pairs)


def measure(rounds: int, frameworks: Path, tell: Callable[[str], None]) -> list[Figure]:
    """Run everything in turns.

    Args:
        rounds: How often each program runs, in each way.
        frameworks: Interpreter that has the frameworks and stagelight.
        tell: Is told how far it is, and what is left out.
    """
    if not hasattr(os, "sched_setaffinity"):
        tell("programs are left out: here nobody can choose a processor")
        return []
    processors = sorted(os.sched_getaffinity(0))[:2]
    all_times = []
    for program in PROGRAMS:
        python = _interpreter(program, frameworks)
        if not python:
            tell(f"{program.title} is left out: no {program.needs} in {frameworks}")
            continue
        all_times.append(Times(program, python))
    with ExitStack() as stack:
        sink = stack.enter_context(_server(sys.executable, _HERE / "sink.py"))
        places = [
            Place(one, _pages(stack, all_times, one), sink)
            for one in (processors[0], processors[-1])
        ]
        nothing = Program("start", _NOTHING)
        starts = {
            python: Times(nothing, python)
            for python in dict.fromkeys(times.python for times in all_times)
        }
        for number in range(rounds):
            for times in (*starts.values(), *all_times):
                tell(f"round {number + 1} of {rounds}: {times.program.title}")
                for way, pairs in times.pairs.items():
                    pairs.append(_pair(times, way, places))
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


def _pair(times: Times, way: str, places: list[Place]) -> tuple[float, float]:
    """Seconds of a bare and of an observed one, each the mean of two runs."""
    with ThreadPoolExecutor(2 * len(places)) as pool:
        pairs = [
            pool.submit(_sharing, pool, times, ways, place)
            for ways, place in zip((("", way), (way, "")), places, strict=True)
        ]
        found = [pair.result() for pair in pairs]
    return sum(one[""] for one in found) / 2, sum(one[way] for one in found) / 2


def _sharing(
    pool: Executor, times: Times, ways: tuple[str, str], place: Place
) -> dict[str, float]:
    """Seconds of two that share a processor, by their ways, which are their order."""
    first, second = ways
    with _started(times, first, place) as one, _started(times, second, place) as other:
        ended = pool.submit(_cpu_of, other)
        return {first: _cpu_of(one), second: ended.result()}


@contextmanager
def _started(times: Times, way: str, place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """A program, bare or observed in some way, on one processor."""
    program = times.program
    command = [times.python]
    if way:
        # As it is typed: that script is what an interpreter's `stagelight` is.
        command += [
            str(Path(times.python).with_name("stagelight")),
            "run",
            "--no-table",
        ]
        # A port of its own: at the usual one others may look, and so load the page.
        command += ["--listen", "off" if way == UNSEEN else "127.0.0.1:0"]
    command.append(str(program.script))
    command += [place.pages if one == "PAGES" else one for one in program.arguments]
    exporting = {"OTEL_EXPORTER_OTLP_ENDPOINT": place.sink} if way == EXPORTING else {}
    with (
        tempfile.TemporaryFile() as said,
        _on(place.processor),
        subprocess.Popen(
            command,
            stdout=said,
            stderr=said,
            env={**environment(), **_ALONE, **exporting},
        ) as process,
    ):
        yield process
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"bench: {command} failed\n{said.read().decode()}")


@contextmanager
def _on(processor: int) -> Iterator[None]:
    """Have what this thread starts in the block run on one processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _cpu_of(process: subprocess.Popen[bytes]) -> float:
    """Seconds of CPU of a process and the children that it waited for."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _pages(stack: ExitStack, all_times: list[Times], processor: int) -> str:
    """Address of the pages for the program that asks for them, if it is measured."""
    for times in all_times:
        if "PAGES" in times.program.arguments:
            server = _server(times.python, _HERE / "pages.py", processor)
            return stack.enter_context(server)
    return ""


@contextmanager
def _server(python: str, script: Path, processor: int | None = None) -> Iterator[str]:
    """A server that says its port, until the end of the block."""
    with nullcontext() if processor is None else _on(processor):
        process = subprocess.Popen(
            [python, str(script)], stdout=subprocess.PIPE, text=True
        )
    try:
        port = process.stdout.readline().strip() if process.stdout else ""
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def _start(times: Times) -> list[Figure]:
    """What a start costs, which weighs little in a program that lasts."""
    found = [Figure("start of a program: bare", times.bare, "s")]
    for way, pairs in times.pairs.items():
        seconds = tuple(observed for _, observed in pairs)
        found.append(Figure(f"start of a program: {way}", seconds, "s"))
    added = tuple(observed - bare for bare, observed in times.pairs[OBSERVED])
    return [*found, Figure("start of a program: observed over bare", added, "s", 0.1)]


def _figures(times: Times, start: Times) -> list[Figure]:
    title, bound = times.program.title, times.program.bound
    found = [Figure(f"{title}: bare", times.bare, "s")]
    for way, pairs in times.pairs.items():
        most = None if way == EXPORTING else bound
        net = [
            (observed - began_observed, bare - began)
            for (bare, observed), (began, began_observed) in zip(
                pairs, start.pairs[way], strict=True
            )
        ]
        found += [
            Figure(
                f"{title}: {way} / bare",
                tuple(observed / bare for bare, observed in pairs),
                bound=most,
            ),
            Figure(
                f"{title}: {way} / bare, net of the start",
                tuple(observed / bare for observed, bare in net),
                bound=most,
            ),
            Figure(
                f"{title}: {way}, added for each of {times.program.events:,} events",
                tuple(
                    (observed - bare) / times.program.events * 1e6
                    for observed, bare in net
                ),
                "us",
            ),
        ]
    return found
