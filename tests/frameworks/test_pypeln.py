from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.frameworks import finished, observe, traces

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver

PROGRAM = """
import sys, time
import pypeln as pl

def slow(x):
    time.sleep(0.01)
    return x + 1

def pair(x):
    yield x
    yield -x

def positive(x):
    return x > 0

def main():
    kind = getattr(pl, sys.argv[1])
    stage = kind.map(slow, range(8), workers=2, maxsize=2)
    stage = kind.flat_map(pair, stage, workers=1, maxsize=2)
    stage = kind.filter(positive, stage, workers=1)
    print(sorted(stage))

if __name__ == "__main__":
    main()
"""
ASYNC = """
import asyncio
import pypeln as pl

async def slow(x):
    await asyncio.sleep(0.01)
    return x + 1

async def positive(x):
    return x > 2

async def main():
    data = pl.task.map(slow, range(6), workers=3)
    data = pl.task.filter(positive, data)
    print(sorted(await data))

asyncio.run(main())
"""
FAILING = """
import pypeln as pl

def odd(x):
    if x == 2:
        raise ValueError("two")
    return x

try:
    print(list(pl.thread.map(odd, range(5))))
except Exception as error:
    print(type(error).__name__)
"""
DONE = {"slow success": 8, "pair success": 8, "positive success": 16}
MIXED = """
import pypeln as pl

def first(x):
    return x + 1

def second(x):
    return x * 2

async def third(x):
    return -x

def fourth(x):
    return x - 1

def fifth(x):
    return x

if __name__ == "__main__":
    stage = pl.process.map(first, range(6), workers=2)
    stage = pl.thread.map(second, stage, workers=2)
    stage = pl.task.map(third, stage, workers=2)
    stage = pl.process.map(fourth, stage, workers=1)
    print(sorted(pl.thread.map(fifth, stage, workers=1)))
"""


def test_threads(receiver: OtlpReceiver, tmp_path: Path):
    """Functions are stages, inputs are queues, an element with its kin is one trace."""
    observed = observe(receiver, PROGRAM, "thread", cwd=tmp_path)
    assert finished(receiver, "stagelight.stage.process.duration") == DONE
    queues = observed.pipeline["queues"]
    assert {
        name: (queue["enqueued"], queue["dequeued"]) for name, queue in queues.items()
    } == {
        "slow": (8, 8),
        "pair": (8, 8),
        "positive": (16, 16),
    }
    assert queues["slow"]["capacity"] == 2
    wanted = {
        "ingest program": 1,
        "process slow": 1,
        "process pair": 1,
        "process positive": 2,
    }
    assert list(traces(receiver.spans()).values()) == [wanted] * 8


def test_tasks(receiver: OtlpReceiver, tmp_path: Path):
    """The same with tasks."""
    observed = observe(receiver, ASYNC, cwd=tmp_path)
    assert finished(receiver, "stagelight.stage.process.duration") == {
        "slow success": 6,
        "positive success": 6,
    }
    wanted = {"ingest program": 1, "process slow": 1, "process positive": 1}
    assert list(observed.traces().values()) == [wanted] * 6


@pytest.mark.slow
def test_processes(receiver: OtlpReceiver, tmp_path: Path):
    """Stages of processes are counted, and go on with the trace of the element."""
    observe(receiver, PROGRAM, "process", cwd=tmp_path)
    assert finished(receiver, "stagelight.stage.process.duration") == DONE
    wanted = {
        "ingest program": 1,
        "process slow": 1,
        "process pair": 1,
        "process positive": 2,
    }
    assert list(traces(receiver.spans()).values()) == [wanted] * 8


@pytest.mark.slow
def test_kinds_mixed(receiver: OtlpReceiver, tmp_path: Path):
    """An element keeps its trace from processes to threads to tasks, and back."""
    observe(receiver, MIXED, cwd=tmp_path)
    names = ("first", "second", "third", "fourth", "fifth")
    done = finished(receiver, "stagelight.stage.process.duration")
    assert done == {f"{name} success": 6 for name in names}
    wanted = {"ingest program": 1, **{f"process {name}": 1 for name in names}}
    assert list(traces(receiver.spans()).values()) == [wanted] * 6


def test_failure(receiver: OtlpReceiver, tmp_path: Path):
    """An error ends the pipeline as before, and is a failure of its stage."""
    observed = observe(receiver, FAILING, cwd=tmp_path)
    assert observed.pipeline["stages"]["odd"]["errors"] == {"ValueError": 1}
