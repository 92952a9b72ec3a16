from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness import start_program
from harness.frameworks import (
    PYTHON,
    Program,
    empty,
    environment,
    finished,
    observe,
    traces,
)

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver

ACTORS = """
import os, time
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks, TimeLimitExceeded
from dramatiq.rate_limits.backends import RedisBackend
broker = RedisBroker(url=os.environ["REDIS_URL"])
broker.add_middleware(GroupCallbacks(RedisBackend(url=os.environ["REDIS_URL"])))
dramatiq.set_broker(broker)

def say(text):
    with open(os.environ["SAID"], "a") as file:
        file.write(text + "\\n")

@dramatiq.actor
def add(a, b):
    say(f"add {a + b}")

@dramatiq.actor(queue_name="later")
def double(n):
    say(f"double {2 * n}")

@dramatiq.actor
def follow(n):
    say("follow")
    double.send(n)

@dramatiq.actor(max_retries=2, min_backoff=10, max_backoff=20)
def flaky(n):
    say("flaky")
    raise ValueError(n)

@dramatiq.actor(time_limit=200, max_retries=0)
def long_running():
    try:
        while True:
            time.sleep(0.01)
    except TimeLimitExceeded:
        say("long")
        raise

@dramatiq.actor
def total(*_):
    say("total")
"""
SEND = """
import actors
from dramatiq import group, pipeline
for n in range(5):
    actors.add.send(n, n)
actors.follow.send(3)
actors.flaky.send(1)
actors.double.send_with_options(args=(4,), delay=300)
actors.long_running.send()
pipeline([actors.total.message(), actors.total.message()]).run()
both = group([actors.total.message(), actors.total.message()])
both.add_completion_callback(actors.total.message())
both.run()
print(actors.add(1, 1), actors.broker.do_qsize("default"))
"""
DONE = [
    *(f"add {2 * n}" for n in range(5)),
    "follow",
    "double 6",
    "double 8",
    *("flaky",) * 3,
    "long",
    *("total",) * 5,
]
STUB = """
import dramatiq
from dramatiq.brokers.stub import StubBroker
broker = StubBroker()
dramatiq.set_broker(broker)

@dramatiq.actor
def add(a, b):
    print(a + b)

worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=1)
worker.start()
for n in range(3):
    add.send(n, n)
broker.join("default")
worker.join()
worker.stop()
"""


@pytest.fixture
def actors(tmp_path: Path, redis: str) -> dict[str, str]:
    """A module of actors, and the variables by which programs find it and redis."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "actors.py").write_text(ACTORS)
    return {
        "PYTHONPATH": str(tmp_path / "modules"),
        "REDIS_URL": redis,
        "SAID": str(tmp_path / "said"),
    }


def work(
    tmp_path: Path,
    env: dict[str, str],
    receiver: OtlpReceiver | None,
    processes: int = 2,
) -> None:
    """Let workers do all that there is, then stop them."""
    said = tmp_path / "said"
    said.unlink(missing_ok=True)
    prefix = ["-m", "stagelight", "run", "--no-table"] if receiver else []
    more = {"STAGELIGHT_JOURNEYS_PER_SECOND": "all"}
    more |= receiver.environment("http/protobuf") if receiver else {}
    run = start_program(
        PYTHON.with_name("dramatiq"),
        "actors",
        "-p",
        str(processes),
        "-t",
        "2",
        env=environment(**env, **more),
        prefix=prefix,
        cwd=tmp_path,
        python=str(PYTHON),
    )
    with run as program:
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            text = said.read_text() if said.exists() else ""
            if len(text.splitlines()) >= len(DONE):
                break
            time.sleep(0.1)
        program.signal(15)
        ended = program.finish(30)
    assert Counter(said.read_text().splitlines()) == Counter(DONE), ended.stderr
    assert "stagelight failed" not in ended.stderr
    assert "Failed to detach" not in ended.stderr


def test_actors(receiver: OtlpReceiver, actors: dict[str, str], tmp_path: Path):
    """Actors are stages of the trace that sent them, in worker processes as well."""
    send = Program(SEND, (), tmp_path, actors)
    run, document = send.observed(receiver)
    assert run.stdout == "None 11\n", run.stderr
    (pipeline,) = document["pipelines"].values()
    assert pipeline["queues"]["default"]["enqueued"] == 11
    assert pipeline["stages"] == {}
    work(tmp_path, actors, receiver)
    assert finished(receiver, "stagelight.stage.process.duration") == {
        "add success": 5,
        "follow success": 1,
        "double success": 2,
        "flaky failure": 3,
        "long_running timeout": 1,
        "total success": 5,
    }
    assert finished(receiver, "stagelight.stage.retries")["flaky"] == 2
    assert finished(receiver, "stagelight.queue.wait.duration") == {
        "default": 15,
        "later": 2,
    }
    assert finished(receiver, "stagelight.queue.enqueued.events") == {
        "default": 15,
        "later": 2,
    }
    found = Counter(
        json.dumps({name: n for name, n in sorted(one.items()) if "ingest" not in name})
        for one in traces(receiver.spans()).values()
    )
    assert found == {
        '{"process add": 1}': 5,
        '{"process double": 1, "process follow": 1}': 1,
        '{"process double": 1}': 1,
        '{"process flaky": 3}': 1,
        '{"process long_running": 1}': 1,
        '{"process total": 2}': 1,
        '{"process total": 3}': 1,
    }


def test_mixed_fleet(receiver: OtlpReceiver, actors: dict[str, str], tmp_path: Path):
    """Either side may be without stagelight: all messages are processed."""
    send = Program(SEND, (), tmp_path, actors)
    send.observed(receiver)
    work(tmp_path, actors, None, 1)
    empty(actors["REDIS_URL"])
    receiver.clear()
    send.bare()
    work(tmp_path, actors, receiver, 1)
    assert finished(receiver, "stagelight.stage.process.duration")["add success"] == 5


def test_stub_broker(receiver: OtlpReceiver, tmp_path: Path):
    """A broker in the same process."""
    observed = observe(receiver, STUB, cwd=tmp_path)
    assert observed.run.stdout == "0\n2\n4\n"
    assert observed.counts() == {"add": 3}
    queue = observed.pipeline["queues"]["default"]
    assert (queue["enqueued"], queue["dequeued"], queue["wait"]["count"]) == (3, 3, 3)
    assert len(observed.traces()) == 3
