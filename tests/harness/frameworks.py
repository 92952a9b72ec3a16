"""Runs a program with real frameworks twice: bare, and observed by stagelight."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        found: dict[str, Counter[str]] = {}
        for span in self.spans:
            found.setdefault(span.trace_id, Counter())[span.name] += 1
        return found

    def tree(self) -> set[tuple[str, str]]:
        """Name of each span, with that of its parent."""
        names = {span.span_id: span.name for span in self.spans}
        return {(span.name, names.get(span.parent_id, "")) for span in self.spans}


def environment(**more: str) -> dict[str, str]:
    """Variables for a program with frameworks."""
    return {**_QUIET, **more}


def observe(  # noqa: PLR0913 (all are named, most are rare)
    receiver: OtlpReceiver,
    source: str | Path,
    *args: str,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    cwd: Path,
    timeout: float = 120,
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
    known = environment(**(env or {}))
    folders = [cwd / "bare", cwd / "observed"]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    bare_folder, folder = folders
    document = cwd / "stagelight.json"
    prefix: list[str] = ["-m"] if module else []
    target: str | Path = Path(source) if module else source
    started = time.perf_counter()
    bare = run_program(
        target,
        *args,
        env=known,
        cwd=bare_folder,
        prefix=prefix,
        python=str(PYTHON),
        timeout=timeout,
    )
    middle = time.perf_counter()
    run = run_program(
        target,
        *args,
        env={**known, **_ALL, **receiver.environment("http/protobuf")},
        prefix=(
            "-m",
            "stagelight",
            "run",
            "--no-table",
            "--json",
            str(document),
            *options,
            *prefix,
        ),
        cwd=folder,
        python=str(PYTHON),
        timeout=timeout,
    )
    ended = time.perf_counter()
    ratio = (ended - middle) / (middle - started)
    name = (
        source.name if isinstance(source, Path) else os.environ["PYTEST_CURRENT_TEST"]
    )
    print(f"{name}: {middle - started:.2f} s bare, {ratio:.2f} x observed")  # noqa: T201 - to be read
    told = f"--- bare\n{bare.stdout}\n{bare.stderr}\n"
    told += f"--- observed\n{run.stdout}\n{run.stderr}"
    assert document.exists(), told
    if compare:
        assert (run.returncode, run.stdout) == (bare.returncode, bare.stdout), told
    assert "Failed to detach context" not in run.stderr, told
    assert "stagelight failed" not in run.stderr, told
    found = json.loads(document.read_text(encoding="utf-8"))
    assert found["process"]["telemetry_errors"] == {}, told
    return Observed(bare, run, found, receiver.spans(), ratio)
