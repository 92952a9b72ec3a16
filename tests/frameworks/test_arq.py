from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness.frameworks import Program, empty, finished, same, traces

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver

TASKS = """
import asyncio, os
from arq import Retry, func
from arq.connections import RedisSettings

async def add(ctx, a, b):
    await asyncio.sleep(0)
    return a + b

async def follow(ctx, n):
    await ctx["redis"].enqueue_job("add", n, n)

async def flaky(ctx):
    if ctx["job_try"] < 3:
        raise Retry(defer=0.01)
    return "done"

async def slow(ctx):
    await asyncio.sleep(60)

async def fail(ctx):
    raise LookupError("fail")

class WorkerSettings:
    functions = [add, follow, flaky, fail, func(slow, timeout=0.5)]
    redis_settings = RedisSettings.from_dsn(os.environ["REDIS_URL"])
    burst = True
    poll_delay = 0.05
    max_tries = 5
"""
ENQUEUE = """
import asyncio, os
from arq import create_pool
from arq.connections import RedisSettings

async def main():
    redis = await create_pool(RedisSettings.from_dsn(os.environ["REDIS_URL"]))
    for n in range(5):
        await redis.enqueue_job("add", n, n, _job_id=f"add-{n}")
    print(await redis.enqueue_job("add", 0, 0, _job_id="add-0"))
    await asyncio.gather(redis.enqueue_job("follow", 3), redis.enqueue_job("flaky"))
    await redis.enqueue_job("fail")
    await redis.enqueue_job("slow")
    print(await redis.zcard("arq:queue"), [job.args for job in await redis.queued_jobs()][:1])
    await redis.aclose()

asyncio.run(main())
"""
WORK = """
from arq import run_worker
import logging
import tasks
worker = run_worker(tasks.WorkerSettings)
print(worker.jobs_complete, worker.jobs_retried, worker.jobs_failed)
"""
DONE = {
    "add success": 6,
    "follow success": 1,
    "flaky cancelled": 2,
    "flaky success": 1,
    "fail failure": 1,
    "slow timeout": 1,
}


@pytest.fixture
def tasks(tmp_path: Path, redis: str) -> dict[str, str]:
    """A module of functions, and the variables by which programs find it and redis."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "tasks.py").write_text(TASKS)
    return {"PYTHONPATH": str(tmp_path / "modules"), "REDIS_URL": redis}


def test_jobs(receiver: OtlpReceiver, tasks: dict[str, str], tmp_path: Path):
    """Functions are stages of the trace that enqueued them; retries are counted."""
    enqueue, work = (Program(text, (), tmp_path, tasks) for text in (ENQUEUE, WORK))
    bare = [enqueue.bare(), work.bare()]
    empty(tasks["REDIS_URL"])
    run, document = enqueue.observed(receiver)
    same(bare[0], run)
    (pipeline,) = document["pipelines"].values()
    queue = pipeline["queues"]["arq:queue"]
    assert (queue["enqueued"], queue["refused"]) == (9, {"duplicate": 1})
    run, document = work.observed(receiver)
    same(bare[1], run)
    assert run.stdout == "8 2 2\n"
    assert finished(receiver, "stagelight.stage.process.duration") == DONE
    assert finished(receiver, "stagelight.stage.retries")["flaky"] == 2
    assert finished(receiver, "stagelight.queue.wait.duration") == {"arq:queue": 12}
    (pipeline,) = document["pipelines"].values()
    queue = pipeline["queues"]["arq:queue"]
    assert queue["size"] is not None
    # One job's other job, and two more attempts.
    assert (queue["enqueued"], queue["dequeued"]) == (3, 12)
    found = Counter(
        json.dumps({name: n for name, n in sorted(one.items()) if "ingest" not in name})
        for one in traces(receiver.spans()).values()
    )
    assert found == {
        '{"process add": 1}': 5,
        '{"process add": 1, "process follow": 1}': 1,
        '{"process flaky": 3}': 1,
        '{"process fail": 1}': 1,
        '{"process slow": 1}': 1,
    }


def test_mixed_fleet(receiver: OtlpReceiver, tasks: dict[str, str], tmp_path: Path):
    """Either side may be without stagelight: all jobs are done."""
    enqueue, work = (Program(text, (), tmp_path, tasks) for text in (ENQUEUE, WORK))
    enqueue.observed(receiver)
    assert work.bare().stdout == "8 2 2\n"
    empty(tasks["REDIS_URL"])
    receiver.clear()
    enqueue.bare()
    work.observed(receiver)
    assert finished(receiver, "stagelight.stage.process.duration") == DONE
