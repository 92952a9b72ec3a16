from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness.frameworks import Program, empty, finished, same, traces

if TYPE_CHECKING:
    from pathlib import Path

    from harness import Completed, OtlpReceiver

JOBS = """
import os, time
from rq import get_current_job, Queue

def fib(n):
    if n < 0:
        raise ValueError(n)
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def follow(n):
    Queue("later", connection=get_current_job().connection).enqueue(fib, n)

def slow():
    time.sleep(60)

def die():
    os.kill(os.getpid(), 9)
"""
ENQUEUE = """
import os, sys
sys.path.insert(0, os.environ["JOBS"])
import jobs
from redis import Redis
from rq import Queue, Retry
from rq.exceptions import DuplicateJobError
queue = Queue("default", connection=Redis.from_url(os.environ["REDIS_URL"]))
for n in range(5):
    queue.enqueue(jobs.fib, n, job_id=f"fib-{n}")
if sys.argv[1:]:
    queue.enqueue(jobs.fib, 11, job_id="fib-11", depends_on=["fib-0"])
queue.enqueue(jobs.follow, 10)
queue.enqueue(jobs.fib, -1, retry=Retry(max=2))
try:
    queue.enqueue(jobs.fib, 3, job_id="fib-3", unique=True)
except DuplicateJobError:
    print("there already")
print(queue.count)
"""


@pytest.fixture
def jobs(tmp_path: Path, redis: str) -> dict[str, str]:
    """A module of jobs, and the variables by which programs find it and redis."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "jobs.py").write_text(JOBS)
    path = str(tmp_path / "jobs")
    return {"JOBS": path, "PYTHONPATH": path, "REDIS_URL": redis, "RQ_REDIS_URL": redis}


WORKERS = ["rq.worker.Worker", "rq.worker.SimpleWorker", "rq.worker.SpawnWorker"]


def worker(kind: str, cwd: Path, env: dict[str, str]) -> Program:
    """A worker that ends when all is done."""
    args = ("worker", "--burst", "-w", kind, "default", "later")
    return Program("rq.cli", args, cwd, env, module=True)


def said(run: Completed) -> list[str]:
    """What a worker wrote, without names and numbers that are new in each run."""
    fresh = r"[0-9a-f]{32}|[0-9a-f-]{36}|PID \d+|\d\d:\d\d:\d\d|\d+\.\d+s|0:00:[\d.]+"
    return sorted(re.sub(fresh, "_", run.stdout).splitlines())


@pytest.mark.parametrize("kind", WORKERS)
def test_jobs(kind: str, receiver: OtlpReceiver, jobs: dict[str, str], tmp_path: Path):
    """Jobs are stages of the trace that enqueued them, in work horses as well."""
    enqueue = Program(ENQUEUE, (), tmp_path, jobs)
    work = worker(kind, tmp_path, jobs)
    bare = [enqueue.bare(), work.bare()]
    empty(jobs["REDIS_URL"])
    run, document = enqueue.observed(receiver)
    same(bare[0], run)
    (pipeline,) = document["pipelines"].values()
    queue = pipeline["queues"]["default"]
    refused = {"rq.exceptions.DuplicateJobError": 1}
    assert (queue["enqueued"], queue["refused"]) == (7, refused)
    run, document = work.observed(receiver)
    assert run.returncode == bare[1].returncode
    assert said(run) == said(bare[1])
    assert finished(receiver, "stagelight.stage.process.duration") == {
        "fib success": 6,
        "fib failure": 3,
        "follow success": 1,
    }
    assert finished(receiver, "stagelight.stage.retries")["fib"] == 2
    waits = finished(receiver, "stagelight.queue.wait.duration")
    assert waits == {"default": 9, "later": 1}
    puts = finished(receiver, "stagelight.queue.enqueued.events")
    assert puts == {"default": 10, "later": 1}  # with one that was refused
    found = traces(receiver.spans()).values()
    counts = Counter(json.dumps(one, sort_keys=True) for one in found)
    ingest = "ingest program"
    assert {
        json.dumps(one, sort_keys=True): n
        for one, n in (
            ({ingest: 1, "process fib": 1}, 5),
            ({ingest: 1, "process fib": 1, "process follow": 1}, 1),
            ({ingest: 1, "process fib": 3}, 1),
        )
    } == counts
    logs = [log for log in receiver.logs() if log.event_name]
    assert len(logs) == 3
    ids = {
        span.attributes["stagelight.event.id"]
        for span in receiver.spans()
        if span.name == "process fib"
    }
    assert {f"fib-{n}" for n in range(5)} <= ids


@pytest.mark.parametrize("kind", WORKERS[:2])
def test_a_job_that_waits_for_another(
    kind: str, receiver: OtlpReceiver, jobs: dict[str, str], tmp_path: Path
):
    """It goes on with the trace of that one."""
    Program(ENQUEUE, ("more",), tmp_path, jobs).observed(receiver)
    worker(kind, tmp_path, jobs).observed(receiver)
    name = "stagelight.event.id"
    ids = {
        one.attributes[name]: one.trace_id
        for one in receiver.spans()
        if name in one.attributes
    }
    assert ids["fib-11"] == ids["fib-0"] != ids["fib-1"]


def test_sizes(receiver: OtlpReceiver, jobs: dict[str, str], tmp_path: Path):
    """A worker that waits tells how long its queues are."""
    Program(ENQUEUE, (), tmp_path, jobs).bare()
    args = ("worker", "--burst", "--max-jobs", "2", "default", "later")
    work = Program("rq.cli", args, tmp_path, jobs, module=True)
    _, document = work.observed(receiver)
    (pipeline,) = document["pipelines"].values()
    assert pipeline["queues"]["default"]["size"] == 5


@pytest.mark.parametrize("kind", WORKERS[:2])
def test_mixed_fleet(
    kind: str, receiver: OtlpReceiver, jobs: dict[str, str], tmp_path: Path
):
    """Either side may be without stagelight: all jobs are done, and recorded if seen."""
    enqueue = Program(ENQUEUE, (), tmp_path, jobs)
    work = worker(kind, tmp_path, jobs)
    enqueue.observed(receiver)
    done = work.bare()
    assert done.returncode == 0
    assert done.stdout.count("Job OK") == 7
    receiver.clear()
    enqueue.bare()
    work.observed(receiver)
    assert finished(receiver, "stagelight.stage.process.duration") == {
        "fib success": 6,
        "fib failure": 3,
        "follow success": 1,
    }
    waits = finished(receiver, "stagelight.queue.wait.duration")
    assert waits == {"default": 9, "later": 1}


def test_a_killed_work_horse(
    receiver: OtlpReceiver, jobs: dict[str, str], tmp_path: Path
):
    """A job that kills its horse is rq's to report; the worker and the rest go on."""
    enqueue = ENQUEUE.replace(
        "for n in range(5)", "queue.enqueue(jobs.die)\nfor n in range(5)"
    )
    Program(enqueue, (), tmp_path, jobs).bare()
    run, _ = worker(WORKERS[0], tmp_path, jobs).observed(receiver)
    assert run.returncode == 0
    found = finished(receiver, "stagelight.stage.process.duration")
    assert found["fib success"] == 6


LATE = """
import os
import jobs
from redis import Redis
from rq import Queue
from rq.worker import SimpleWorker

queue = Queue("late", connection=Redis.from_url(os.environ["REDIS_URL"]))
queue.enqueue(jobs.slow, job_timeout=1)
SimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="CRITICAL")
print(queue.failed_job_registry.count)
"""


def test_time_limit(receiver: OtlpReceiver, jobs: dict[str, str], tmp_path: Path):
    """A job whose time was up is told from one that failed."""
    program = Program(LATE, (), tmp_path, jobs)
    run, document = program.observed(receiver)
    assert run.stdout == "1\n"
    (pipeline,) = document["pipelines"].values()
    assert pipeline["stages"]["slow"]["outcomes"] == {"timeout": 1}
