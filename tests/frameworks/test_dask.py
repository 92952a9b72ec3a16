from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness import start_program
from harness.frameworks import (
    PYTHON,
    ROOT,
    Program,
    environment,
    finished,
    observe,
    traces,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness import OtlpReceiver

PROGRAM = """
import asyncio, sys
from distributed import Client, LocalCluster
{more}

def increment(x):
    return x + 1

def total(xs):
    return sum(xs)

async def later(x):
    await asyncio.sleep(0.01)
    return -x

def fail(x):
    raise LookupError(x)

def main():
    with {cluster} as cluster, Client(cluster) as client:
        {plugin}
        for _ in range(2):
            futures = client.map(increment, range(10), pure=False)
            print(client.submit(total, futures, pure=False).result())
        print(client.submit(later, 5, pure=False).result())
        try:
            client.submit(fail, 7, pure=False, retries=1).result()
        except LookupError as error:
            print("failed", error)
        import dask.array as da
        print(da.arange(100, chunks=10).sum().compute())

if __name__ == "__main__":
    main()
"""
LOCAL = "LocalCluster(n_workers={n}, threads_per_worker=1, processes={processes}, dashboard_address=None)"
DONE = {
    "increment success": 20,
    "total success": 2,
    "later success": 1,
    "fail failure": 2,
}


@pytest.mark.parametrize("processes", [False, True])
def test_local_cluster(processes: bool, receiver: OtlpReceiver, tmp_path: Path):
    """Tasks are stages in the trace of what was submitted, in processes as well."""
    cluster = LOCAL.format(n=2, processes=processes)
    program = PROGRAM.format(cluster=cluster, more="", plugin="pass")
    observed = observe(receiver, program, cwd=tmp_path)
    assert observed.run.stdout == "55\n55\n-5\nfailed 7\n4950\n"
    done = finished(receiver, "stagelight.stage.process.duration")
    assert {name: done[name] for name in DONE} == DONE
    found = [
        one for one in traces(receiver.spans()).values() if one["process increment"]
    ]
    assert [one["process increment"] for one in found] == [10, 10]
    waits = finished(receiver, "stagelight.queue.wait.duration")
    assert sum(waits.values()) >= 25
    names = {
        span.resource.get("dask.worker.name")
        for span in observed.spans
        if span.name == "process increment"
    }
    assert len(names) == (2 if processes else 1)
    if processes:
        assert done["dask transfer success"] > 0
        assert names == {"0", "1"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler with one worker, which know nothing of stagelight."""
    args = ("--port", "0", "--host", "127.0.0.1", "--no-dashboard", "--no-jupyter")
    options = {"env": environment(), "cwd": tmp_path, "python": str(PYTHON)}
    with start_program(
        "import sys; sys.argv[0] = 'dask-scheduler'\nfrom distributed.cli.dask_scheduler import main\nmain()",
        *args,
        **options,
    ) as running:
        line = running.wait_for_line("Scheduler at:", 120)
        address = re.search(r"tcp://[\d.:]+", line)[0]
        with start_program(
            "import sys; sys.argv[0] = 'dask-worker'\nfrom distributed.cli.dask_worker import main\n"
            "if __name__ == '__main__': main()",
            address,
            "--no-dashboard",
            "--nthreads",
            "1",
            "--name",
            "far",
            **options,
        ) as worker:
            worker.wait_for_line("Registered to:", 120)
            yield address
            worker.signal(15)
            worker.finish()
        running.signal(15)
        running.finish()


def test_plugin(cluster: str, receiver: OtlpReceiver, tmp_path: Path):
    """One line observes workers elsewhere, which go on with the client's traces."""
    program = PROGRAM.format(
        cluster="__import__('contextlib').nullcontext(sys.argv[1])",
        more="from stagelight.dask import StagelightPlugin",
        plugin="client.register_plugin(StagelightPlugin())",
    )
    run, _ = Program(program, (cluster,), tmp_path).observed(receiver)
    assert run.stdout == "55\n55\n-5\nfailed 7\n4950\n"

    def all_there() -> bool:
        done = finished(receiver, "stagelight.stage.process.duration")
        return all(done[name] == DONE[name] for name in DONE)

    receiver.wait_for(all_there)
    spans = [span for span in receiver.spans() if span.name == "process increment"]
    assert {span.resource["dask.worker.name"] for span in spans} == {"far"}
    found = [
        one for one in traces(receiver.spans()).values() if one["process increment"]
    ]
    assert [(one["process increment"], one["ingest program"]) for one in found] == [
        (10, 1)
    ] * 2


CHAINED = """
from distributed import Client, LocalCluster

def read(n):
    return n

def add(n, more=0):
    return n + more

def total(numbers):
    return sum(numbers)

def main():
    with {cluster} as cluster, Client(cluster) as client:
        chains = []
        for n in range(3):
            first = client.submit(read, n, pure=False)
            chains.append(client.submit(add, 1, more=first))
        print(client.submit(total, chains).result())
        mapped = client.map(add, client.map(read, range(4), pure=False))
        print(client.submit(total, mapped).result())

if __name__ == "__main__":
    main()
"""


def test_futures_as_arguments(receiver: OtlpReceiver, tmp_path: Path):
    """What takes a future is in its trace; what joins those of several has its own."""
    program = CHAINED.format(cluster=LOCAL.format(n=2, processes=True))
    observed = observe(receiver, program, cwd=tmp_path)
    assert observed.run.stdout == "6\n6\n"
    found = [
        {name: n for name, n in one.items() if name != "dask transfer"}
        for one in traces(receiver.spans()).values()
    ]
    root = {"ingest program": 1}
    chain = {**root, "process read": 1, "process add": 1}
    assert found.count(chain) == 3
    assert found.count({**root, "process total": 1}) == 1
    mapped = {"process read": 4, "process add": 4, "process total": 1}
    assert found.count({**root, **mapped}) == 1
    assert len(found) == 5


def test_example(receiver: OtlpReceiver, tmp_path: Path):
    """The index example runs on two processes; every file is seen by each stage."""
    example = ROOT / "examples" / "distributed_index.py"
    observed = observe(
        receiver,
        example,
        "--folder",
        str(ROOT / "src"),
        "--search",
        "pipeline",
        cwd=tmp_path,
        compare=False,
    )
    files = int(re.match(r"(\d+) files", observed.run.stdout)[1])
    plain = [
        re.sub(r"in [\d.]+ s", "", run.stdout) for run in (observed.bare, observed.run)
    ]
    assert plain[0] == plain[1]
    done = finished(receiver, "stagelight.stage.process.duration")
    for name in (
        "read",
        "tokenize",
        "enrich",
        "Reader",
        "Tokenizer",
        "Enricher",
        "Writer",
    ):
        assert done[f"{name} success"] == files, done
    steps = {"process read", "process tokenize", "process enrich"}
    found = [set(one) for one in traces(receiver.spans()).values()]
    assert sum(steps <= one for one in found) == files
