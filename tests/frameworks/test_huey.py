from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness import start_program
from harness.frameworks import PYTHON, Program, environment, finished, observe, traces

if TYPE_CHECKING:
    from pathlib import Path

    from harness import Completed, OtlpReceiver

TASKS = """
import os
from huey import CancelExecution, RetryTask, SqliteHuey
huey = SqliteHuey("shop", filename=os.environ["HUEY_FILE"])

def say(text):
    with open(os.environ["HUEY_FILE"] + ".said", "a") as file:
        file.write(text + "\\n")

@huey.task()
def add(a, b):
    say(f"add {a + b}")
    return a + b

@huey.task()
def double(n):
    say(f"double {2 * n}")
    return 2 * n

@huey.task(retries=2)
def flaky(n):
    say("flaky")
    if n < 0:
        raise ValueError(n)

@huey.task()
def cancel():
    raise CancelExecution()

@huey.task()
def total(numbers):
    say(f"total {sum(numbers)}")
"""
ENQUEUE = """
import os, sys
from huey import chord
import tasks
for n in range(5):
    tasks.add(n, n)
tasks.huey.enqueue(tasks.add.s(1, 2).then(tasks.double))
tasks.huey.enqueue(chord([tasks.add.s(1, 0), tasks.add.s(2, 0)], tasks.total.s()))
tasks.flaky(-1)
tasks.cancel()
gone = tasks.add(100, 100)
gone.revoke()
tasks.add.schedule((20, 20), delay=4)
print(tasks.huey.pending_count())
"""
IMMEDIATE = """
from huey import MemoryHuey
huey = MemoryHuey("now", immediate=True)

@huey.task()
def add(a, b):
    return a + b

print(add(1, 2)(), add(3, 4)())
"""
DONE = [
    *(f"add {2 * n}" for n in range(5)),
    *("flaky",) * 3,
    "add 3",
    "double 6",
    "add 40",
    "add 1",
    "add 2",
    "total 3",
]


@pytest.fixture
def tasks(tmp_path: Path) -> dict[str, str]:
    """A module of tasks, and the variables by which programs find it."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "tasks.py").write_text(TASKS)
    path = str(tmp_path / "modules")
    return {"PYTHONPATH": path, "HUEY_FILE": str(tmp_path / "huey.db")}


def work(
    kind: str, tmp_path: Path, env: dict[str, str], receiver: OtlpReceiver | None
) -> Completed:
    """Let a consumer do all that there is, then stop it."""
    said = tmp_path / "huey.db.said"
    prefix = ["-m", "stagelight", "run", "--no-table"] if receiver else []
    more = {"STAGELIGHT_JOURNEYS_PER_SECOND": "all"}
    more |= receiver.environment("http/protobuf") if receiver else {}
    script = PYTHON.with_name("huey_consumer")
    args = ("tasks.huey", "-k", kind, "-w", "2", "-s", "1", "-n")
    run = start_program(
        script,
        *args,
        env=environment(**env, **more),
        prefix=prefix,
        cwd=tmp_path,
        python=str(PYTHON),
    )
    with run as program:
        program.wait_for_line("Huey consumer started", 30)
        for _ in range(1200):
            text = said.read_text() if said.exists() else ""
            if len(text.splitlines()) >= len(DONE):
                break
            program_sleep()
        program.signal(2)
        ended = program.finish(30)
    assert Counter(said.read_text().splitlines()) == Counter(DONE), ended.stderr
    said.unlink()
    return ended


def program_sleep() -> None:
    """Leave the consumer some time."""
    import time

    time.sleep(0.05)


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_tasks(
    kind: str, receiver: OtlpReceiver, tasks: dict[str, str], tmp_path: Path
):
    """Tasks are stages of the trace that enqueued them, in all kinds of workers."""
    enqueue = Program(ENQUEUE, (), tmp_path, tasks)
    run, document = enqueue.observed(receiver)
    assert run.stdout == "12\n"
    (pipeline,) = document["pipelines"].values()
    assert pipeline["queues"]["shop"]["enqueued"] == 12
    ended = work(kind, tmp_path, tasks, receiver)
    assert "stagelight failed" not in ended.stderr
    assert finished(receiver, "stagelight.stage.process.duration") == {
        "add success": 9,
        "add dropped": 1,
        "double success": 1,
        "total success": 1,
        "flaky failure": 3,
        "cancel dropped": 1,
    }
    assert finished(receiver, "stagelight.stage.retries")["flaky"] == 2
    assert finished(receiver, "stagelight.queue.wait.duration") == {"shop": 17}
    # Twelve were put in; then two attempts, a pipeline, what was scheduled, and a total.
    assert finished(receiver, "stagelight.queue.enqueued.events") == {"shop": 17}
    found = Counter(
        json.dumps({name: n for name, n in sorted(one.items()) if "ingest" not in name})
        for one in traces(receiver.spans()).values()
    )
    assert found == {
        '{"process add": 1}': 6,
        '{"process add": 1, "process double": 1}': 1,
        '{"process add": 2, "process total": 1}': 1,
        '{"process flaky": 3}': 1,
        '{"process cancel": 1}': 1,
        "{}": 1,
    }


@pytest.mark.parametrize("sees", ["producer", "consumer"])
def test_mixed_fleet(
    sees: str, receiver: OtlpReceiver, tasks: dict[str, str], tmp_path: Path
):
    """Either side may be without stagelight: all tasks are done."""
    enqueue = Program(ENQUEUE, (), tmp_path, tasks)
    if sees == "producer":
        enqueue.observed(receiver)
        work("thread", tmp_path, tasks, None)
    else:
        enqueue.bare()
        work("thread", tmp_path, tasks, receiver)
        done = finished(receiver, "stagelight.stage.process.duration")
        assert done["add success"] == 9


def test_immediate(receiver: OtlpReceiver, tmp_path: Path):
    """What runs where it is called has no queue."""
    observed = observe(receiver, IMMEDIATE, cwd=tmp_path)
    assert observed.run.stdout == "3 7\n"
    assert observed.counts() == {"add": 2}
    assert observed.pipeline["queues"] == {}
