"""A collection lets others run, and gives the same with pauses as without."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from harness.readers import collect, points
from stagelight import _metrics, _names, _slices
from stagelight._metrics import _storage
from stagelight._slices import Slices

if TYPE_CHECKING:
    from collections.abc import Iterator


class Time:
    """Both the clock and the sleep of the slices; nothing waits."""

    def __init__(self) -> None:
        self.now = 0
        self.pauses: list[int] = []

    def clock(self) -> int:
        """The time."""
        return self.now

    def sleep(self, _: float) -> None:
        """Note when."""
        self.pauses.append(self.now)
        self.now += 1_000_000_000 if self.now > 60_000_000_000 else 100_000


@pytest.fixture
def moving(monkeypatch) -> Time:
    """Time that only we move."""
    made = Time()
    monkeypatch.setattr(_slices, "clock", made.clock)
    monkeypatch.setattr(_slices, "time", made)
    return made


def test_no_slice_is_much_longer_than_the_others(moving):
    """There is a pause as soon as a slice of work is done, and nothing is left out."""

    def work() -> Iterator[int]:
        for number in range(1000):
            moving.now += 100_000
            yield number

    assert list(Slices().over(work())) == list(range(1000))
    gaps = [b - a for a, b in zip(moving.pauses, moving.pauses[1:], strict=False)]
    assert len(gaps) > 50
    assert max(gaps) < 2_000_000


def test_pauses_end_where_the_machine_is_too_busy(moving):
    """A pause that lasts until many threads had their turns is not made for ever."""
    moving.now = 60_000_000_001
    slices = Slices()
    for _ in range(1000):
        moving.now += 10_000_000
        slices.breathe()
    assert 1 < len(moving.pauses) < 5


def test_the_sdks_own_part_pauses_too(pipeline, monkeypatch):
    """From the second collection on the SDK's storage pauses for our instruments."""
    paused = []
    monkeypatch.setattr(Slices, "breathe", lambda _: paused.append(_caller()))
    stage = pipeline.stage(lambda event: event, name="work")
    one = InMemoryMetricReader()
    provider = MeterProvider([one], shutdown_on_exit=False)
    _metrics.attach(provider)
    theirs = provider.get_meter("theirs").create_counter("theirs")
    theirs.add(1)
    seen, pauses = [], []
    for _ in range(3):
        stage(1)
        paused.clear()
        metrics = collect(one)
        seen.append(points(metrics, _names.CONSUMED.name)[0].value)
        assert points(metrics, "theirs")[0].value == 1
        pauses.append(paused.count("collect_later"))
    assert seen == [1, 2, 3]
    # Once for each of our instruments, and never one twice.
    assert pauses[0] == 0
    assert 5 < pauses[1] == pauses[2] <= len(_names.METRICS)


def _caller() -> str:
    return sys._getframe(2).f_code.co_name


def test_an_sdk_with_another_inside_is_left_alone(lenient):
    """Where the storage is not as we know it, nothing is raised and nothing changed."""
    _storage.slice_up(object(), object())


def test_who_waits_for_the_interpreter_gets_it(pipeline):
    """Another thread's calls go on while a collection is under way, and all count."""
    stages = [
        pipeline.stage(lambda event: event, name=f"stage-{number}")
        for number in range(50)
    ]
    one = InMemoryMetricReader()
    _metrics.attach(MeterProvider([one], shutdown_on_exit=False))
    done, calls = threading.Event(), 0

    def work() -> None:
        nonlocal calls
        while not done.is_set():
            for stage in stages:
                stage(None)
            calls += 1

    worker = threading.Thread(target=work)
    worker.start()
    try:
        counts = [
            sum(point.value for point in points(collect(one), _names.CONSUMED.name))
            for _ in range(3)
        ]
    finally:
        done.set()
        worker.join()
    assert counts == sorted(counts)
    total = points(collect(one), _names.CONSUMED.name)
    assert {point.value for point in total} == {calls}
