"""Runs a program with real frameworks twice: bare, and observed by stagelight."""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .program import Completed, run_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .data import ReceivedSpan
    from .otlp import OtlpReceiver

ROOT = Path(__file__).parents[2]
#: Interpreter of the frameworks' own virtual environment, made by `make frameworks`.
PYTHON = ROOT / ".venv-frameworks" / "bin" / "python"

#: Nothing may phone home, and worker threads of BLAS only make timings noisy.
_QUIET = {
    "DO_NOT_TRACK": "1",
    "OMP_NUM_THREADS": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
}
_ALL = {"STAGELIGHT_JOURNEYS_PER_SECOND": "all"}


@dataclass(frozen=True)
class Observed:
    """One program's two runs, and what was received of the second.

    Attributes:
        bare: How it ended without stagelight.
        run: How it ended with it.
        document: What `--json` wrote.
        spans: All its spans.
        ratio: Wall time observed to bare.
    """

    bare: Completed
    run: Completed
    document: dict[str, Any]
    spans: list[ReceivedSpan] = field(default_factory=list)
    ratio: float = 1.0

    @property
    def pipeline(self) -> dict[str, Any]:
        """The only pipeline of the document."""
        (found,) = self.document["pipelines"].values()
        return dict(found)

    def counts(self) -> dict[str, int]:
        """Calls by stage, of the program's main process."""
        return {name: stage["count"] for name, stage in self.pipeline["stages"].items()}

    def traces(self) -> dict[str, Counter[str]]:
        """Span names, counted, by trace."""
        return traces(self.spans)

    def tree(self) -> set[tuple[str, str]]:
        """Name of each span, with that of its parent."""
        names = {span.span_id: span.name for span in self.spans}
        return {(span.name, names.get(span.parent_id, "")) for span in self.spans}


@dataclass(frozen=True)
class Program:
    """A program with frameworks, to be run once or more.

    Attributes:
        source: The program's text or path, or a module's name.
        args: The program's arguments.
        cwd: Where it runs, in a folder of its own for each kind of run.
        env: Variables.
        module: Whether `source` is a module's name.
        timeout: Seconds that it may take.
        options: Further options of `stagelight run`.
    """

    source: str | Path
    args: tuple[str, ...] = ()
    cwd: Path = Path()
    env: Mapping[str, str] = field(default_factory=dict)
    module: bool = False
    timeout: float = 300
    options: tuple[str, ...] = ()

    def bare(self) -> Completed:
        """Run it without stagelight."""
        return self._run("bare", (), {})

    def observed(self, receiver: OtlpReceiver) -> tuple[Completed, dict[str, Any]]:
        """Run it by `stagelight run`; returns the document as well.

        Args:
            receiver: Where it exports to.
        """
        document = self.cwd / "stagelight.json"
        document.unlink(missing_ok=True)
        prefix = ("-m", "stagelight", "run", "--no-table", "--json", str(document))
        env = {**_ALL, **self.env, **receiver.environment("http/protobuf")}
        run = self._run("observed", (*prefix, *self.options), env)
        assert document.exists(), run
        assert "Failed to detach context" not in run.stderr, run.stderr
        assert "stagelight failed" not in run.stderr, run.stderr
        found: dict[str, Any] = json.loads(document.read_text(encoding="utf-8"))
        assert found["process"]["telemetry_errors"] == {}, run
        return run, found

    def _run(
        self, folder: str, prefix: tuple[str, ...], env: Mapping[str, str]
    ) -> Completed:
        (self.cwd / folder).mkdir(exist_ok=True)
        return run_program(
            Path(self.source) if self.module else self.source,
            *self.args,
            env={**_QUIET, **self.env, **env},
            prefix=(*prefix, "-m") if self.module else prefix,
            cwd=self.cwd / folder,
            python=str(PYTHON),
            timeout=self.timeout,
        )


def observe(  # noqa: PLR0913 (all are named, most are rare)
    receiver: OtlpReceiver,
    source: str | Path,
    *args: str,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    cwd: Path,
    timeout: float = 300,
    compare: bool = True,
    module: bool = False,
) -> Observed:
    """Run a program bare, then by `stagelight run`, which has to change nothing.

    Args:
        receiver: Where the second run exports to.
        source: The program's text or path, or a module's name.
        args: The program's arguments.
        env: Variables of both runs.
        options: Further options of `stagelight run`.
        cwd: Where both run, each in a folder of its own.
        timeout: Seconds for each.
        compare: Whether stdout and exit code have to be the same.
        module: Whether `source` is a module's name.
    """
    program = Program(source, args, cwd, env or {}, module, timeout, tuple(options))
    started = time.perf_counter()
    bare = program.bare()
    middle = time.perf_counter()
    run, found = program.observed(receiver)
    ratio = (time.perf_counter() - middle) / (middle - started)
    name = os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0]
    print(f"{name}: {middle - started:.2f} s bare, {ratio:.2f} x observed")  # noqa: T201 - to be read
    if compare:
        same(bare, run)
    return Observed(bare, run, found, receiver.spans(), ratio)


def same(bare: Completed, run: Completed) -> None:
    """Assert that two runs ended alike, and wrote the same to stdout."""
    told = f"--- bare\n{bare.stdout}\n{bare.stderr}\n"
    told += f"--- observed\n{run.stdout}\n{run.stderr}"
    assert (run.returncode, run.stdout) == (bare.returncode, bare.stdout), told


def finished(receiver: OtlpReceiver, name: str) -> Counter[str]:
    """Values of a metric summed over all processes, by stage or queue, and outcome.

    Args:
        receiver: Where the processes exported to.
        name: Full name of a counter or a histogram, whose count is taken.
    """
    found = Counter[str]()
    for point in receiver.last(name):
        known = point.attributes
        words = [
            known.get("stagelight.stage.name") or known.get("stagelight.queue.name"),
            known.get("stagelight.outcome"),
        ]
        value = point.count if point.count is not None else point.value
        found[" ".join(filter(None, words))] += int(value or 0)
    return found


def traces(spans: Sequence[ReceivedSpan]) -> dict[str, Counter[str]]:
    """Span names, counted, by trace.

    Args:
        spans: Of any processes.
    """
    found: dict[str, Counter[str]] = {}
    for span in spans:
        found.setdefault(span.trace_id, Counter())[span.name] += 1
    return found


def empty(address: str) -> None:
    """Forget all that a redis has.

    Args:
        address: Its URL.
    """
    where = urlsplit(address)
    with socket.create_connection((where.hostname or "", where.port or 0)) as redis:
        redis.sendall(b"FLUSHALL\r\n")
        assert redis.recv(16).startswith(b"+OK")


def environment(**more: str) -> dict[str, str]:
    """Variables for a program with frameworks."""
    return {**_QUIET, **more}
