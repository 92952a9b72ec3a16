from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness import run_program
from harness.frameworks import PYTHON, finished, observe

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver

PROGRAM = """
import logging, time
from streamz import Stream
logging.getLogger("streamz").disabled = True

def increment(x):
    if x == 3:
        raise ValueError("three")
    return x + 1

source = Stream()
numbers = source.map(increment)
sums = numbers.accumulate(lambda total, x: total + x, start=0)
odd = numbers.filter(lambda x: x % 2, stream_name="odd")
seen = sums.zip(numbers).sink_to_list()
odd.sink(print)
for n in range(5):
    try:
        source.emit(n)
    except ValueError as error:
        print("failed", error)
print(seen, numbers)
"""
BUFFERED = """
import asyncio
from streamz import Stream

def slow(x):
    return -x

async def later(x):
    await asyncio.sleep(0.005)
    return x * 10

async def main():
    source = Stream(asynchronous=True)
    done = source.map(abs).buffer(4).map(slow).map_async(later, parallelism=2).sink_to_list()
    for n in range(10):
        await source.emit(n)
    while len(done) < 10:
        await asyncio.sleep(0.01)
    print(done)

asyncio.run(main())
"""
THROUGH_DASK = """
import time
from distributed import Client
from streamz import Stream

def increment(x):
    return x + 1

def add(total, x):
    return total + x

def main():
    client = Client(n_workers=1, threads_per_worker=1, dashboard_address=None)
    source = Stream()
    apart = source.scatter()
    done = apart.map(increment).buffer(4).gather().sink_to_list()
    sums = apart.accumulate(add, start=0).gather().map(str).sink_to_list()
    for n in range(5):
        source.emit(n)
    while len(done) + len(sums) < 10:
        time.sleep(0.01)
    print(done, sums)
    client.close()

if __name__ == "__main__":
    main()
"""


def test_nodes(receiver: OtlpReceiver, tmp_path: Path):
    """Functions are stages, siblings in the trace of the element that was emitted."""
    observed = observe(receiver, PROGRAM, cwd=tmp_path)
    assert observed.run.stdout.endswith(
        "[(1, 1), (3, 2), (6, 3), (11, 5)] <map: increment>\n"
    )
    found = {
        name: stage["outcomes"] for name, stage in observed.pipeline["stages"].items()
    }
    assert found == {
        "increment": {"success": 4, "failure": 1},
        "accumulate": {"success": 4},
        "odd": {"success": 4},
        "sink": {"success": 4},
        "sink-2": {"success": 3},
    }
    assert len(observed.traces()) == 5
    assert {above for _, above in observed.tree()} == {"", "ingest program"}


def test_logged_traceback(receiver: OtlpReceiver, tmp_path: Path):
    """The traceback that streamz logs of a function's error has no frame of ours."""
    logging = PROGRAM.replace('logging.getLogger("streamz").disabled = True', "")
    observed = observe(receiver, logging, cwd=tmp_path)
    assert 'raise ValueError("three")' in observed.run.stderr
    assert "_patches.py" not in observed.run.stderr
    assert "_wrapping.py" not in observed.run.stderr


def test_buffer(receiver: OtlpReceiver, tmp_path: Path):
    """A buffer is a queue with wait and depth; the trace goes on behind it."""
    observed = observe(receiver, BUFFERED, cwd=tmp_path)
    assert observed.counts() == {"map": 10, "slow": 10, "later": 10, "sink": 10}
    queue = observed.pipeline["queues"]["buffer"]
    assert (queue["enqueued"], queue["dequeued"], queue["size"]) == (10, 10, 0)
    assert queue["capacity"] == 4
    assert queue["high_watermark"] >= 1
    assert queue["wait"]["count"] == 10
    assert (
        list(observed.traces().values())
        == [
            {
                "ingest program": 1,
                "process map": 1,
                "process slow": 1,
                "process later": 1,
                "process sink": 1,
            }
        ]
        * 10
    )
    assert all(
        span.attributes["stagelight.queue.name"] == "buffer"
        for span in observed.spans
        if span.name == "process slow"
    )


def test_through_dask(receiver: OtlpReceiver, tmp_path: Path):
    """An element scattered to Dask and gathered again is one trace, there and back."""
    observed = observe(receiver, THROUGH_DASK, cwd=tmp_path)
    names = ("increment", "add", "str", "sink")
    done = finished(receiver, "stagelight.stage.process.duration")
    assert done == {f"{name} success": 5 * (1 + (name == "sink")) for name in names}
    wanted = {"ingest program": 1, "process sink": 2}
    wanted |= {f"process {name}": 1 for name in names[:3]}
    assert list(observed.traces().values()) == [wanted] * 5
    assert {above for _, above in observed.tree()} == {"", "ingest program"}


def test_nothing_exported(tmp_path: Path):
    """Without an endpoint nodes count the same, drops and failures among it."""
    dropping = PROGRAM.replace(
        "    return x + 1", "    if x == 4:\n        drop('odd')\n    return x + 1"
    ).replace("import logging", "from stagelight import drop\nimport logging", 1)
    document = tmp_path / "stagelight.json"
    run = run_program(
        dropping.replace("ValueError as error", "BaseException as error"),
        prefix=("-m", "stagelight", "run", "--no-table", "--json", str(document)),
        python=str(PYTHON),
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    (pipeline,) = json.loads(document.read_text())["pipelines"].values()
    found = {name: stage["outcomes"] for name, stage in pipeline["stages"].items()}
    assert found["increment"] == {"success": 3, "failure": 1, "dropped": 1}
    assert found["accumulate"] == {"success": 4}
