from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness.frameworks import observe

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver

#: Kedro logs to stdout, with the time of day, unless it is told not to.
QUIET = "version: 1"
LOGGING = {"KEDRO_LOGGING_CONFIG": "logging.yml"}
PROGRAM = """
import logging, os, sys
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner

def double(numbers):
    return [2 * number for number in numbers]

def total(numbers):
    return sum(numbers)

def report(first, second):
    if first == second:
        raise ArithmeticError("equal")
    return f"{first} of {second}"

nodes = pipeline([
    node(double, "numbers", "doubled", name="double_numbers"),
    node(total, "numbers", "total", name="plain_total"),
    node(total, "doubled", "double_total"),
    node(report, ["total", "double_total"], "report", name="report"),
])

def main():
    logging.disable(logging.CRITICAL)
    runner = {"SequentialRunner": SequentialRunner, "ThreadRunner": ThreadRunner,
              "ParallelRunner": ParallelRunner}[sys.argv[1]]
    numbers = [0] if sys.argv[2:] else [1, 2, 3]
    for _ in range(2):
        catalog = DataCatalog({"numbers": MemoryDataset(numbers)})
        if runner is ParallelRunner:
            from kedro.io import SharedMemoryDataCatalog
            catalog = SharedMemoryDataCatalog({"numbers": MemoryDataset(numbers)})
        running = runner()
        outputs = running.run(nodes, catalog)
        print(outputs["report"].load())

if __name__ == "__main__":
    main()
"""
NAMES = ["double_numbers", "plain_total", "report"]


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path) -> None:
    """Put a configuration of Kedro's logging where both runs look for it."""
    for name in ("bare", "observed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "logging.yml").write_text(QUIET)


def one_run(counts: Counter[str]) -> bool:
    """Whether a trace holds exactly one run and each of its four nodes once."""
    unnamed = [name for name in counts if name.startswith("process total")]
    wanted = {"process kedro run", *(f"process {name}" for name in NAMES)}
    known = {name for name in counts if name.startswith("process ")}
    return (
        len(unnamed) == 1
        and known == {*wanted, *unnamed}
        and set(counts.values()) == {1}
    )


@pytest.mark.parametrize("runner", ["SequentialRunner", "ThreadRunner"])
def test_run(runner: str, receiver: OtlpReceiver, tmp_path: Path):
    """Each run is one trace with all its nodes inside, whichever runner has them."""
    observed = observe(receiver, PROGRAM, runner, cwd=tmp_path, env=LOGGING)
    assert observed.run.stdout == "6 of 12\n6 of 12\n"
    counts = observed.counts()
    assert {counts[name] for name in [*NAMES, "kedro run"]} == {2}
    traces = list(observed.traces().values())
    assert len(traces) == 2
    assert all(one_run(counts) for counts in traces), traces
    parents = {above for name, above in observed.tree() if name == "process report"}
    assert parents == {"process kedro run"}
    (span, *_) = [span for span in observed.spans if span.name == "process report"]
    assert span.attributes["code.function.name"] == "__main__.report"
    assert span.attributes["stagelight.load.duration"] > 0


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_parallel_run(method: str, receiver: OtlpReceiver, tmp_path: Path):
    """Nodes in other processes belong to the trace of their run; nothing is lost."""
    observed = observe(
        receiver,
        PROGRAM,
        "ParallelRunner",
        cwd=tmp_path,
        env={**LOGGING, "KEDRO_MP_CONTEXT": method},
    )
    assert observed.run.stdout == "6 of 12\n6 of 12\n"
    traces = list(observed.traces().values())
    assert len(traces) == 2
    assert all(one_run(counts) for counts in traces), traces
    finished = Counter[str]()
    for point in receiver.last("stagelight.stage.process.duration"):
        finished[point.attributes["stagelight.stage.name"]] += point.count or 0
    assert {finished[name] for name in [*NAMES, "kedro run"]} == {2}


def test_a_failing_node(receiver: OtlpReceiver, tmp_path: Path):
    """A node that raises fails its run as well; the error is reported once."""
    observed = observe(
        receiver, PROGRAM, "SequentialRunner", "fail", cwd=tmp_path, env=LOGGING
    )
    assert observed.run.returncode == 1
    stages = observed.pipeline["stages"]
    assert stages["report"]["outcomes"] == {"failure": 1}
    assert stages["kedro run"]["errors"] == {"ArithmeticError": 1}
    logs = [log for log in receiver.logs() if log.event_name]
    assert [log.attributes["stagelight.stage.name"] for log in logs] == ["report"]
