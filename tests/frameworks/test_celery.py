from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from harness import start_program
from harness.frameworks import PYTHON, Program, environment, finished

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver

TASKS = """
import datetime, os, time
from celery import Celery
folder = os.environ["CELERY_FOLDER"]
app = Celery("tasks", broker="filesystem://", backend=f"file://{folder}/results")
app.conf.broker_transport_options = {
    "data_folder_in": folder + "/queue", "data_folder_out": folder + "/queue",
    "control_folder": folder + "/control",
}

def say(text):
    with open(folder + "/said", "a") as file:
        file.write(text + "\\n")

@app.task
def add(a, b):
    say("add")

@app.task(bind=True)
def due(self):
    eta = datetime.datetime.fromisoformat(self.request.eta)
    say(f"due {time.time() - eta.timestamp()}")

@app.task(bind=True, max_retries=2)
def flaky(self):
    say("flaky")
    raise self.retry(countdown=0.1)
"""
ENQUEUE = """
import sys
import tasks
for n in range(8):
    tasks.add.delay(n, n)
tasks.due.apply_async(countdown=1, queue="later")
tasks.flaky.delay()
tasks.add.apply_async((2, 2), expires=-1)
print("sent")
"""
DONE = 8 + 1 + 3


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_worker(pool: str, receiver: OtlpReceiver, tmp_path: Path):
    """Waits of all tasks, in children that are recycled, and not before they are due."""
    for name in ("queue", "control", "results", "modules"):
        (tmp_path / name).mkdir()
    (tmp_path / "modules" / "tasks.py").write_text(TASKS)
    env = {"PYTHONPATH": str(tmp_path / "modules"), "CELERY_FOLDER": str(tmp_path)}
    args = ("-A", "tasks", "worker", "--pool", pool, "-c", "2", "-Q", "celery,later")
    recycled = ("--max-tasks-per-child", "2") if pool == "prefork" else ()
    run = start_program(
        PYTHON.with_name("celery"),
        *(*args, *recycled, "-l", "INFO", "--without-mingle", "--without-gossip"),
        env=environment(**env, **receiver.environment("http/protobuf")),
        prefix=["-m", "stagelight", "run", "--no-table"],
        cwd=tmp_path,
        python=str(PYTHON),
    )
    said = tmp_path / "said"
    with run as worker:
        worker.wait_for_line("ready.", 30)
        enqueue, document = Program(ENQUEUE, (), tmp_path, env).observed(receiver)
        assert enqueue.stdout == "sent\n"
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if said.exists() and len(said.read_text().splitlines()) == DONE:
                break
            time.sleep(0.05)
        worker.signal(15)
        ended = worker.finish(30)
    assert "stagelight failed" not in ended.stderr
    (pipeline,) = document["pipelines"].values()
    assert pipeline["queues"]["celery"]["enqueued"] == 10
    # Ten of the program and two retries, of which one expired and was not run.
    puts = finished(receiver, "stagelight.queue.enqueued.events")
    assert puts == {"celery": 12, "later": 1}
    waits = finished(receiver, "stagelight.queue.wait.duration")
    assert waits == {"celery": DONE - 1, "later": 1}
    points = receiver.last("stagelight.queue.wait.duration")
    assert len(points) >= (6 if pool == "prefork" else 1)
    (late,) = (line[4:] for line in said.read_text().splitlines() if "due" in line)
    (wait,) = (
        point.max
        for point in points
        if point.attributes["stagelight.queue.name"] == "later"
    )
    assert float(late) - 0.5 < wait <= float(late)  # from when it was due
