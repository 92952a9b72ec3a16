from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.frameworks import finished, observe, traces

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver

HAYSTACK = """
import asyncio, sys
from haystack import Pipeline, component

@component
class Upper:
    @component.output_types(text=str)
    def run(self, text: str):
        if not text:
            raise ValueError("nothing")
        return {"text": text.upper()}

@component
class Twice:
    @component.output_types(text=str)
    def run(self, text: str):
        return {"text": text * 2}
    @component.output_types(text=str)
    async def run_async(self, text: str):
        await asyncio.sleep(0)
        return {"text": text * 2}

pipe = Pipeline()
pipe.add_component("shout", Upper())
pipe.add_component("twice", Twice())
pipe.connect("shout.text", "twice.text")
print(pipe.run({"shout": {"text": "a"}}))
print(asyncio.run(pipe.run_async({"shout": {"text": "b"}})))

async def each():
    async for partial in pipe.run_async_generator({"shout": {"text": "c"}}):
        print(partial)
asyncio.run(each())
try:
    pipe.run({"shout": {"text": ""}})
except Exception as error:
    print(type(error).__name__)
"""


def test_haystack(receiver: OtlpReceiver, tmp_path: Path):
    """Components are stages in the trace of their run, in all its forms."""
    observed = observe(receiver, HAYSTACK, cwd=tmp_path)
    done = finished(receiver, "stagelight.stage.process.duration")
    assert sum(n for name, n in done.items() if name.startswith("haystack run")) == 4
    assert sum(n for name, n in done.items() if name.startswith("shout")) == 4
    assert sum(n for name, n in done.items() if name.startswith("twice")) == 3
    assert sum(n for name, n in done.items() if name.endswith("failure")) == 2
    assert len(observed.traces()) == 4
    logs = [log for log in receiver.logs() if log.event_name]
    assert len(logs) in {
        1,
        2,
    }  # Haystack raises an error of its own from the component's


PROCRASTINATE = """
import asyncio
from procrastinate import App, testing
app = App(connector=testing.InMemoryConnector())

@app.task(name="sums.add", queue="sums")
async def add(a, b):
    return a + b

@app.task(queue="other", retry=1)
def flaky():
    raise ValueError("no")

@app.task(queue="periodic")
def tick(timestamp):
    pass

async def main():
    async with app.open_async():
        job = tick.configure(task_kwargs={"timestamp": 1}).job
        for _ in range(2):
            print(await app.job_manager.defer_periodic_job(job, "", 1))
        for n in range(3):
            await add.defer_async(a=n, b=n)
        await flaky.defer_async()
        await app.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)
        print(sorted(job["status"] for job in app.connector.jobs.values()))

import logging
logging.disable(logging.CRITICAL)
asyncio.run(main())
"""


def test_procrastinate(receiver: OtlpReceiver, tmp_path: Path):
    """Tasks are stages under their names, in the trace that deferred them."""
    observed = observe(receiver, PROCRASTINATE, cwd=tmp_path)
    assert {
        name: stage["outcomes"] for name, stage in observed.pipeline["stages"].items()
    } == {
        "sums.add": {"success": 3},
        "__main__.flaky": {"failure": 2},
        "__main__.tick": {"success": 1},
    }
    assert observed.pipeline["stages"]["__main__.flaky"]["retries"] == 1
    queues = observed.pipeline["queues"]
    assert (queues["sums"]["enqueued"], queues["sums"]["dequeued"]) == (3, 3)
    assert (queues["other"]["enqueued"], queues["other"]["dequeued"]) == (2, 2)
    periodic = queues["periodic"]
    assert (periodic["enqueued"], periodic["dequeued"]) == (1, 1)
    assert queues["sums"]["wait"]["count"] == 3
    found = list(observed.traces().values())
    assert found.count({"ingest program": 1, "process sums.add": 1}) == 3
    assert found.count({"ingest program": 1, "process __main__.flaky": 2}) == 1
    assert len(found) == 5


CELERY = """
import sys, threading
from celery import Celery
from celery.contrib.testing.worker import start_worker
app = Celery("app", broker="memory://", backend="cache+memory://")

@app.task
def add(a, b):
    return a + b

@app.task(name="celery.ping")
def ping():
    return "pong"

with start_worker(app, pool="solo", perform_ping_check=False, loglevel="ERROR"):
    print(sum(add.delay(n, n).get(timeout=60) for n in range(3)))
    print(add.apply_async((1, 2), countdown=2).get(timeout=60))
print(add.apply((1, 1)).get())
"""


def test_celery(receiver: OtlpReceiver, tmp_path: Path):
    """The wait of tasks is recorded, and no span: those are another package's."""
    observed = observe(receiver, CELERY, cwd=tmp_path)
    queue = observed.pipeline["queues"]["celery"]
    assert (queue["enqueued"], queue["dequeued"], queue["wait"]["count"]) == (4, 4, 4)
    assert queue["wait"]["max"] < 2  # it waits only once it is due
    assert observed.pipeline["stages"] == {}
    assert [span for span in observed.spans if span.scope.name == "stagelight"] == []


TASKIQ = """
import asyncio
from taskiq import InMemoryBroker
broker = InMemoryBroker()

@broker.task
async def add(a, b):
    return a + b

async def main():
    await broker.startup()
    task = await add.kiq(1, 2)
    print((await task.wait_result()).return_value)
    await broker.shutdown()

asyncio.run(main())
"""


@pytest.mark.parametrize("program", [TASKIQ])
def test_left_alone(program: str, receiver: OtlpReceiver, tmp_path: Path):
    """A framework with OpenTelemetry of its own gets no span of ours, and it is said."""
    observed = observe(receiver, program, cwd=tmp_path, options=["--explain"])
    assert (
        "taskiq: left alone: taskiq has an OpenTelemetryMiddleware"
        in observed.run.stderr
    )
    assert traces(observed.spans) == {}
