"""What type checkers see of the public API: checked by mypy, never run.

Whatever observes a thing gives back the very type that it was given.
"""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import multiprocessing.queues
import queue
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from typing_extensions import assert_type

import stagelight
from stagelight import testing

pipeline = stagelight.Pipeline("orders")
assert_type(pipeline.name, str)
assert_type(stagelight.Pipeline(), stagelight.Pipeline)


# Functions keep their signatures, with and without arguments to the decorator.


@pipeline.stage
def parse(event: bytes, *, strict: bool = False) -> dict[str, int]:
    """A function."""
    return {event.decode(): int(strict)}


@pipeline.stage(name="other", event_id=lambda event: event["id"])
def enrich(event: dict[str, int], factor: int = 2) -> list[int]:
    """A function, with a name."""
    return [factor * value for value in event.values()]


assert_type(parse(b"", strict=True), dict[str, int])
assert_type(enrich({}, 3), list[int])
parse("text")  # type: ignore[arg-type]
parse(b"", loud=True)  # type: ignore[call-arg]
enrich({}, "3")  # type: ignore[arg-type]


# Coroutine functions, generators and asynchronous generators stay what they are.


@pipeline.stage
async def fetch(event: int) -> str:
    """A coroutine function."""
    return str(event)


@pipeline.stage
def split(event: str) -> Iterator[str]:
    """A generator."""
    yield from event


@pipeline.stage
async def stream(event: str) -> AsyncIterator[bytes]:
    """An asynchronous generator."""
    yield event.encode()


async def use_them() -> None:
    """They are awaited and iterated as before."""
    assert_type(await fetch(1), str)
    assert_type(list(split("ab")), list[str])
    assert_type([item async for item in stream("ab")], list[bytes])


# Classes, their instances, and methods of every kind.


@pipeline.stage
class Writer:
    """A class with a process method."""

    def __init__(self, path: str) -> None:
        self.path = path

    def process(self, event: list[int]) -> int:
        """Its work."""
        return len(event)


class Loader:
    """A class whose methods are stages."""

    limit = 10

    @pipeline.stage
    def load(self, event: int) -> float:
        """A method."""
        return event / self.limit

    @classmethod
    def make(cls, event: str) -> Loader:
        """A class method."""
        return cls()

    def process(self, event: str) -> bytes:
        """Its work."""
        return event.encode()


assert_type(Writer("here").process([1]), int)
assert_type(Writer("here").path, str)
assert_type(Loader().load(1), float)
loader = pipeline.stage(Loader())
assert_type(loader, Loader)
assert_type(loader.process("a"), bytes)
assert_type(loader.limit, int)
assert_type(pipeline.stage(Loader.make)("a"), Loader)
assert_type(pipeline.stage(len)([1]), int)
assert_type(pipeline.stage(functools.partial(enrich, factor=3))({}), list[int])
assert_type(pipeline.stage(lambda: 1.5, name="constant")(), float)

# The explicit wrapper stands for any object.
assert_type(stagelight.ObservedStage(Loader()).process("a"), Any)


# Queues and executors are the same objects, with the same item types.

jobs: queue.Queue[int] = queue.Queue(10)
assert_type(pipeline.queue(jobs, "jobs"), "queue.Queue[int]")
assert_type(pipeline.queue(jobs, "jobs").get(), int)
ordered = pipeline.queue(queue.PriorityQueue[tuple[int, str]](), "ordered")
assert_type(ordered, "queue.PriorityQueue[tuple[int, str]]")
simple = pipeline.queue(queue.SimpleQueue[bytes](), "simple")
assert_type(simple.get(), bytes)
loop_jobs: asyncio.Queue[str] = asyncio.Queue()
assert_type(pipeline.queue(loop_jobs, "loop"), "asyncio.Queue[str]")
shared: multiprocessing.queues.Queue[int] = multiprocessing.Queue()
assert_type(pipeline.queue(shared, "shared"), "multiprocessing.queues.Queue[int]")
assert_type(pipeline.pool(ThreadPoolExecutor(2), "threads"), ThreadPoolExecutor)
assert_type(pipeline.pool(ProcessPoolExecutor(2), "processes"), ProcessPoolExecutor)
with pipeline.pool(ThreadPoolExecutor(2), "more") as executor:
    assert_type(executor.submit(split, "ab").result(), Iterator[str])


class Existing:
    """An existing pipeline."""

    stages = [Loader()]  # noqa: RUF012 - as users write it


assert_type(pipeline.observe(Existing()), Existing)


# Journeys, notes, statistics.

with pipeline.journey({"id": 1}):
    stagelight.retry()
with stagelight.journey():
    stagelight.drop()
    stagelight.drop("expired", intentional=False)
stagelight.drop(intentional="no")  # type: ignore[arg-type]
assert_type(pipeline.stats(), dict[str, Any])


# Setting up takes keywords only.

stagelight.configure()
stagelight.configure(
    service_name="orders",
    resource_attributes={"tier": "gold"},
    tracer_provider=TracerProvider(),
    meter_provider=MeterProvider(),
    journeys_per_second="all",
    rescues_per_second=10,
    json_logs=True,
    event_id="meta.id",
)
stagelight.configure("orders")  # type: ignore[call-arg]
stagelight.configure(journeys_per_second="many")  # type: ignore[arg-type]
assert_type(stagelight.force_flush(1.5), bool)
stagelight.shutdown()

with testing.capture() as telemetry:
    assert_type(telemetry, testing.Captured)
    assert_type(telemetry.spans("process parse"), list[dict[str, Any]])
    assert_type(telemetry.points("stagelight.queue.size"), list[dict[str, Any]])
    assert_type(telemetry.logs(), list[dict[str, Any]])

error: Exception = stagelight.ConfigurationError("no")
base: type[stagelight.StagelightError] = stagelight.ConfigurationError
version: str = stagelight.__version__
