"""A full house: 256 stages in 64 worker threads. What reading and keeping it costs."""

from __future__ import annotations

import gc
import random
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil

from gauge.pauses import Garbage, Looper
from gauge.stages import (
    ATTRIBUTES,
    DEFAULT,
    configured,
    instruments,
    pipeline,
    providers,
)
from stagelight._distribution import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from gauge.cases import Function, Round
    from gauge.stages import Providers

STAGES = 256
WORKERS = 64
SLOTS = STAGES * WORKERS
#: Seconds that the house has seen, more than any history that a slot keeps, and calls
#: of each stage in each thread and second.
SECONDS = 70
LATER = 20
_CALLS = 10
_SECOND = 1_000_000_000
_COLLECTIONS = 5


class House:
    """Threads that are there and call nothing yet."""

    def __init__(self) -> None:
        self._work: Callable[[], object] = time.time_ns
        self._end = False
        self._more = [threading.Semaphore(0) for _ in range(WORKERS)]
        self._ready = threading.Semaphore(0)
        self._threads = [
            threading.Thread(target=self._live, args=(more,), daemon=True)
            for more in self._more
        ]
        for thread in self._threads:
            thread.start()
        self.call([repr])

    def call(self, functions: list[Function]) -> None:
        """Let each thread call each function once; return when all have."""
        self._functions = functions
        # One after the other: nobody waits for the interpreter.
        for more in self._more:
            more.release()
            self._ready.acquire()

    def _live(self, more: threading.Semaphore) -> None:
        while True:
            more.acquire()
            if self._end:
                return
            for function in self._functions:
                function(None)
            self._ready.release()

    def leave(self) -> None:
        """End all threads."""
        self._end = True
        for more in self._more:
            more.release()
        for thread in self._threads:
            thread.join()


def grow_old(ours: Any, first: int, seconds: int) -> None:
    """Write into each slot what so many seconds of calls write, in far less time.

    The durations are of a tenth to ten milliseconds, as of work that is worth a stage.

    Args:
        ours: The pipeline.
        first: Clock in seconds of the first one.
        seconds: How many.
    """
    chance = random.Random(6)
    samples = [int(10 ** chance.uniform(5, 7)) for _ in range(997)]
    number = 0
    for second in range(first, first + seconds):
        for stage in ours._record.stages.values():  # noqa: SLF001
            for slot in stage.slots:
                slot.turn_over(second * _SECOND)
                for _ in range(_CALLS):
                    slot.add(samples[number % 997])
                    number += 1


def fill(ours: Any) -> None:
    """Leave each slot with as many samples not yet folded as there can be."""
    for stage in ours._record.stages.values():  # noqa: SLF001
        for slot in stage.slots:
            slot.fold()
            for number in range(BATCH - 1):
                slot.add(100_000 + number)


def stages(ours: Any) -> list[Function]:
    """As many observed functions as the house has stages."""

    def make(number: int) -> Function:
        def stage(event: object) -> object:
            return event

        observed: Function = ours.stage(stage, name=f"stage-{number}")
        return observed

    return [make(number) for number in range(STAGES)]


def collection() -> Round:
    """One full collection for an exporter, and the hold-up of a worker meanwhile."""
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

    sdk = providers()
    ours = configured(sdk, DEFAULT)
    functions = stages(ours)
    house = House()
    house.call(functions)
    collect = sdk.reader.get_metrics_data
    young = min(thread_ms(collect) for _ in range(3))
    grow_old(ours, _now() - SECONDS, SECONDS)
    by_hand = hand_written()
    points = sum(
        len(metric.data.data_points)
        for resource in collect().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )
    if points < 5 * STAGES:
        raise SystemExit(f"bench: only {points} points were collected")

    def once() -> dict[str, float]:
        house.call(functions)
        data = collect()
        figures = {
            "collect": min(thread_ms(collect) for _ in range(2)),
            "young": young,
            "encode": thread_ms(lambda: encode_metrics(data)),
            "by hand": min(thread_ms(by_hand) for _ in range(2)),
        }
        looper = Looper(functions[0])
        lasted, pauses = [], []
        with Garbage() as garbage:
            for _ in range(_COLLECTIONS):
                house.call(functions)  # what was new is no more
                looper.longest()
                start = time.perf_counter()
                collect()
                lasted.append(time.perf_counter() - start)
                time.sleep(0.02)  # the last gap ends
                pauses.append(looper.longest())
        figures["wall"] = statistics.median(lasted) * 1e3
        for name, found in zip(
            ("hold-up", "gap"), zip(*pauses, strict=True), strict=True
        ):
            figures[name] = statistics.median(found)
            figures[f"worst {name}"] = max(found)
        figures["garbage"] = garbage.longest
        time.sleep(min(sum(lasted), 1))
        figures["hold-up without"], figures["gap without"] = looper.longest()
        looper.stop()
        return figures

    return once


def thread_ms(function: Callable[[], object]) -> float:
    """Milliseconds of CPU that this thread takes for it."""
    start = time.thread_time()
    function()
    return (time.thread_time() - start) * 1e3


def hand_written() -> Callable[[], object]:
    """The SDK's own collection of one histogram and one counter for each stage."""
    sdk: Providers = providers()
    histogram, counter = instruments(sdk.metering)
    for number in range(STAGES):
        attributes = {**ATTRIBUTES, "stage": f"stage-{number}"}
        histogram.record(0.001, attributes)
        counter.add(1, attributes)
    get: Callable[[], object] = sdk.reader.get_metrics_data
    return get


def memory() -> Round:
    """Resident kilobytes for each stage and worker, in default mode, once a process."""
    import stagelight

    ours, _ = pipeline(DEFAULT)
    functions = stages(ours)
    house = House()
    warm = stagelight.Pipeline("warm").stage(repr, name="warm")
    for event in range(2000):
        warm(event)
    process = psutil.Process()

    def once() -> dict[str, float]:
        figures = {}
        before = _resident(process)
        house.call(functions)
        figures["first"] = (_resident(process) - before) / SLOTS
        now = _now()
        grow_old(ours, now, SECONDS)
        figures["old"] = (_resident(process) - before) / SLOTS
        grow_old(ours, now + SECONDS, LATER)
        figures["older"] = (_resident(process) - before) / SLOTS
        fill(ours)
        figures["full"] = (_resident(process) - before) / SLOTS
        house.leave()
        figures["ended"] = (_resident(process) - before) / SLOTS
        return figures

    return once


def _now() -> int:
    return time.perf_counter_ns() // _SECOND


def _resident(process: psutil.Process) -> float:
    gc.collect()
    return float(process.memory_info().rss) / 1024
