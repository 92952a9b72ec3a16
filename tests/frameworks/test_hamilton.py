from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.frameworks import finished, observe, traces

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver

#: The project's own hello_world, with numbers small enough to read.
FUNCTIONS = """
import pandas as pd

def avg_3wk_spend(spend: pd.Series) -> pd.Series:
    return spend.rolling(3).mean()

def spend_per_signup(spend: pd.Series, signups: pd.Series) -> pd.Series:
    return spend / signups

def spend_mean(spend: pd.Series) -> float:
    return spend.mean()

def spend_zero_mean(spend: pd.Series, spend_mean: float) -> pd.Series:
    return spend - spend_mean
"""
SCRIPT = """
import pandas as pd
import functions
from hamilton import base, driver

inputs = {"signups": pd.Series([1, 10, 50, 100, 200, 400]),
          "spend": pd.Series([10, 10, 20, 40, 40, 50])}
dr = driver.Builder().with_modules(functions).with_adapters(base.PandasDataFrameResult()).build()
output = ["spend", "signups", "avg_3wk_spend", "spend_per_signup", "spend_zero_mean"]
for _ in range(2):
    print(dr.execute(output, inputs=inputs).to_string())
dr.materialize(additional_vars=output, inputs=inputs)
"""
PARALLEL = """
import sys
from hamilton import driver
from hamilton.execution import executors
import steps

if __name__ == "__main__":
    remote = {"threads": executors.MultiThreadingExecutor, "processes": executors.MultiProcessingExecutor}
    dr = (driver.Builder().enable_dynamic_execution(allow_experimental_mode=True)
          .with_local_executor(executors.SynchronousLocalTaskExecutor())
          .with_remote_executor(remote[sys.argv[1]](max_tasks=2)).with_modules(steps).build())
    print(dr.execute(["total"], inputs={"count": 4}))
"""
STEPS = """
from hamilton.htypes import Collect, Parallelizable

def number(count: int) -> Parallelizable[int]:
    for n in range(count):
        yield n

def doubled(number: int) -> int:
    return 2 * number

def total(doubled: Collect[int]) -> int:
    return sum(doubled)
"""
ASYNC = """
import asyncio
from hamilton import async_driver
import async_steps

async def main():
    dr = await async_driver.Builder().with_modules(async_steps).build()
    print(await dr.execute(["both"], inputs={"start": 1}))
    try:
        await dr.execute(["both"], inputs={"start": -1})
    except ValueError as error:
        print(error)

asyncio.run(main())
"""
BOTH = """
import asyncio
from hamilton import async_driver, driver
import plain_steps

async def main():
    dr = await async_driver.Builder().with_modules(plain_steps).build()
    print(await dr.execute(["double"], inputs={"start": 1}))

print(driver.Builder().with_modules(plain_steps).build().execute(["double"], inputs={"start": 1}))
asyncio.run(main())
"""
PLAIN_STEPS = """
def double(start: int) -> int:
    return start * 2
"""
ASYNC_STEPS = """
import asyncio

async def left(start: int) -> int:
    await asyncio.sleep(0.01)
    if start < 0:
        raise ValueError("negative")
    return start + 1

async def right(start: int) -> int:
    await asyncio.sleep(0.01)
    return start + 2

def both(left: int, right: int) -> int:
    return left * right
"""
TRACED = """
from hamilton import driver
from hamilton.plugins.h_opentelemetry import OpenTelemetryTracer
import steps
dr = driver.Builder().with_modules(steps).with_adapters(OpenTelemetryTracer()).build()
print(dr.execute(["doubled"], inputs={"number": 4, "count": 1}, overrides={"number": 4}))
"""


@pytest.fixture
def modules(tmp_path: Path) -> dict[str, str]:
    """The modules of functions, and how programs find them."""
    folder = tmp_path / "modules"
    folder.mkdir()
    for name, text in (
        ("functions", FUNCTIONS),
        ("steps", STEPS),
        ("async_steps", ASYNC_STEPS),
        ("plain_steps", PLAIN_STEPS),
    ):
        (folder / f"{name}.py").write_text(text)
    return {"PYTHONPATH": str(folder), "HAMILTON_TELEMETRY_ENABLED": "false"}


def test_hello_world(receiver: OtlpReceiver, modules: dict[str, str], tmp_path: Path):
    """Each execution is one trace with its nodes."""
    observed = observe(receiver, SCRIPT, cwd=tmp_path, env=modules)
    names = ["avg_3wk_spend", "spend_per_signup", "spend_mean", "spend_zero_mean"]
    assert observed.counts() == {"hamilton run": 3, **dict.fromkeys(names, 3)}
    wanted = {"ingest program": 1, "process hamilton run": 1}
    wanted |= {f"process {name}": 1 for name in names}
    assert list(observed.traces().values()) == [wanted] * 3
    (span, *_) = [span for span in observed.spans if span.name == "process spend_mean"]
    assert span.attributes["code.function.name"] == "functions.spend_mean"


@pytest.mark.parametrize("remote", ["threads", "processes"])
def test_parallel(
    remote: str, receiver: OtlpReceiver, modules: dict[str, str], tmp_path: Path
):
    """Tasks in other threads and processes belong to the trace of their run."""
    observed = observe(receiver, PARALLEL, remote, cwd=tmp_path, env=modules)
    assert observed.run.stdout == "{'total': 12}\n"
    assert finished(receiver, "stagelight.stage.process.duration") == {
        "hamilton run success": 1,
        "number success": 1,
        "doubled success": 4,
        "total success": 1,
    }
    assert len(traces(receiver.spans())) == 1


def test_async(receiver: OtlpReceiver, modules: dict[str, str], tmp_path: Path):
    """Nodes of an asynchronous driver are timed without the wait for their inputs."""
    observed = observe(receiver, ASYNC, cwd=tmp_path, env=modules)
    stages = observed.pipeline["stages"]
    assert {name: stage["outcomes"] for name, stage in stages.items()} == {
        "hamilton run": {"success": 1, "failure": 1},
        "left": {"success": 1, "failure": 1},
        "right": {"success": 2},
        "both": {"success": 1},
    }
    assert len(observed.traces()) == 2
    assert stages["both"]["duration"]["max"] < stages["left"]["duration"]["max"]


def test_both_drivers(receiver: OtlpReceiver, modules: dict[str, str], tmp_path: Path):
    """The run that is awaited is told from the one that is not; their node is one."""
    observed = observe(receiver, BOTH, cwd=tmp_path, env=modules)
    counts = {"hamilton run": 1, "hamilton run async": 1, "double": 2}
    assert observed.counts() == counts
    assert len(observed.traces()) == 2


def test_own_tracer(receiver: OtlpReceiver, modules: dict[str, str], tmp_path: Path):
    """A driver with Hamilton's own tracer gets no second span."""
    observed = observe(receiver, TRACED, cwd=tmp_path, env=modules)
    assert observed.document["pipelines"] == {} or observed.counts() == {}
    scopes = {span.scope.name for span in observed.spans}
    assert "stagelight" not in scopes
    assert observed.spans
