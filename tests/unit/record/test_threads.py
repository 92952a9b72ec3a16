"""Counts from many threads at once, with readers beside them and levels that change.

Threads take turns every microsecond: each step of the record path is interrupted
by the others sooner or later.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import stagelight
from stagelight import _metrics, _workers
from stagelight._detail import DETAIL
from stagelight._slots import DETAILED, PENDING
from stagelight._workers import ALERT, this_worker

THREADS = 8
CALLS = 300


@pytest.fixture(autouse=True)
def _eager():
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
    DETAIL.choose("normal")


def run_all(jobs):
    """Threads that run each job, and what they raised."""
    problems = []

    def run(job):
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - raised by the caller
            problems.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    return threads, problems


def finish(threads, problems):
    """Wait for threads, and raise what one of them raised."""
    for thread in threads:
        thread.join()
    for problem in problems:
        raise problem


def together(*jobs):
    """Run each job in a thread of its own."""
    finish(*run_all(jobs))


@contextmanager
def beside(*jobs):
    """Repeat jobs in a thread each until the end of the block."""
    over = threading.Event()

    def repeated(job):
        def repeat():
            while not over.wait(0.001):
                job()

        return repeat

    threads, problems = run_all([repeated(job) for job in jobs])
    try:
        yield
    finally:
        over.set()
        finish(threads, problems)


def test_no_call_is_lost_or_counted_twice(pipeline):
    """All outcomes of nested stages add up, whoever reads meanwhile."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    _metrics.attach(provider)

    @pipeline.stage
    def inner(event):
        if event % 3 == 1:
            raise ValueError(event)
        if event % 3 == 2:
            stagelight.drop("odd")
        return event

    @pipeline.stage
    def outer(event):
        with suppress(ValueError):
            inner(event)

    seen = [0]

    def read():
        seen.append(pipeline.stats()["stages"]["outer"]["count"])

    def work():
        for number in range(CALLS):
            outer(number)

    with beside(read, reader.get_metrics_data):
        together(*[work] * THREADS)
    stages = pipeline.stats()["stages"]
    third = THREADS * CALLS // 3
    assert stages["outer"]["outcomes"] == {"success": 3 * third}
    assert stages["inner"]["outcomes"] == {
        "success": third,
        "failure": third,
        "dropped": third,
    }
    assert stages["inner"]["dropped"] == {"odd": third}
    assert seen == sorted(seen)
    provider.shutdown()


def test_no_count_is_lost_while_the_level_changes(pipeline):
    """Calls that are open as it changes are counted like all others."""

    @pipeline.stage
    def inner(event):
        return event

    @pipeline.stage
    def outer(event):
        return inner(event)

    @pipeline.stage
    def items(event):
        yield event
        yield event

    levels = ["basic", "detailed", "normal"]

    def switch():
        levels.append(levels.pop(0))
        stagelight.detail(levels[0])

    def work():
        for number in range(CALLS):
            outer(number)
            list(items(number))

    with beside(switch):
        together(*[work] * THREADS)
    stages = pipeline.stats()["stages"]
    counts = {name: stage["count"] for name, stage in stages.items()}
    whole = THREADS * CALLS
    assert counts == {"inner": whole, "outer": whole, "items": 2 * whole}
    assert all(stage["active"] == 0 for stage in stages.values())


def test_no_event_of_a_queue_is_lost(pipeline):
    """Producers and consumers of one bounded queue, and what its hooks count."""
    jobs = pipeline.queue(queue.Queue(5), "jobs")

    @pipeline.stage
    def take(event):
        return event

    def put():
        for number in range(CALLS):
            jobs.put(number)

    def get():
        for _ in range(CALLS):
            take(jobs.get())

    with beside(pipeline.stats):
        together(*[put, get] * (THREADS // 2))
    found = pipeline.stats()
    whole = CALLS * THREADS // 2
    counted = found["queues"]["jobs"]
    assert (counted["enqueued"], counted["dequeued"]) == (whole, whole)
    assert (counted["size"], counted["wait"]["count"]) == (0, whole)
    assert found["stages"]["take"]["count"] == whole


def test_threads_that_end_leave_their_counts(pipeline):
    """Folding an ended thread's slot and reading exclude one another."""

    @pipeline.stage
    def work(event):
        return event

    seen = [0]

    def read():
        seen.append(pipeline.stats()["stages"]["work"]["count"])

    def come_and_go():
        for number in range(10):
            thread = threading.Thread(target=work, args=(number,))
            thread.start()
            thread.join()

    with beside(read):
        together(*[come_and_go] * 4)
    assert pipeline.stats()["stages"]["work"]["count"] == 40
    assert seen == sorted(seen)


def test_names_are_registered_once():
    """Threads that name the same pipeline get the same record."""
    found = []

    def register():
        for number in range(20):
            handle = stagelight.Pipeline(f"shared {number}")
            found.append(id(handle._record))

    together(*[register] * THREADS)
    assert len(set(found)) == 20


def test_a_lost_alert_comes_back(pipeline):
    """What was set from outside just as the worker changed it is set anew."""

    @pipeline.stage
    def work(event):
        return event

    work(1)
    worker = this_worker()
    _workers.set_alert(DETAILED, on=True)
    try:
        worker.alert = PENDING  # the worker's own store came last
        work.__stagelight_stage__.slot()._turn_over(time.perf_counter_ns())
        assert worker.alert & ~PENDING == ALERT[0]
        assert worker.alert & PENDING
    finally:
        _workers.set_alert(DETAILED, on=False)
