"""What depends on who reads: high watermarks and longest blocks, by reader."""

from __future__ import annotations

import queue
import threading

import pytest

from harness.readers import collect, points, reader
from stagelight import _names


def value(one, metric):
    """The only point of a gauge."""
    (point,) = points(collect(one), metric.name)
    return point.value


def test_each_reader_has_its_own_high_watermark(pipeline, attached):
    """A burst between two collections shows once to every reader, stats() included."""
    jobs = pipeline.queue(queue.Queue(), "jobs")
    often, seldom = reader(), reader(delta=True)
    attached(often, seldom)

    def burst(size):
        for number in range(size):
            jobs.put(number)
        for _ in range(size):
            jobs.get()

    burst(5)
    assert value(often, _names.HIGH_WATERMARK) == 5
    burst(3)
    assert value(often, _names.HIGH_WATERMARK) == 3
    assert value(often, _names.HIGH_WATERMARK) == 0
    assert value(seldom, _names.HIGH_WATERMARK) == 5
    jobs.put(1)
    assert [value(one, _names.HIGH_WATERMARK) for one in (often, seldom)] == [1, 1]
    assert pipeline.stats()["queues"]["jobs"]["high_watermark"] == 5
    assert pipeline.stats()["queues"]["jobs"]["high_watermark"] == 1
    assert value(often, _names.HIGH_WATERMARK) == 1


def test_a_reader_that_comes_late_gets_the_highest_ever(pipeline, attached):
    """What was before a reader's first collection is in its first one."""
    jobs = pipeline.queue(queue.Queue(), "jobs")
    early, late = reader(), reader()
    attached(early)
    jobs.put(1)
    jobs.put(2)
    jobs.get()
    jobs.get()
    assert value(early, _names.HIGH_WATERMARK) == 2
    attached(late)
    assert value(late, _names.HIGH_WATERMARK) == 2
    assert value(late, _names.HIGH_WATERMARK) == 0


@pytest.fixture
def stalled(pipeline):
    """A stage that waits for room in a queue of one, and what lets it go on."""
    full = pipeline.queue(queue.Queue(1), "full")
    full.put(0)

    @pipeline.stage
    def feed(event):
        full.put(event)

    def block(clock, seconds):
        thread = threading.Thread(target=feed, args=(1,))
        thread.start()
        record = pipeline._record.queues["full"]
        while not record.blocking:
            pass
        clock.advance(seconds)
        full.get()
        thread.join()

    return block


def test_each_reader_has_its_own_longest_block(clock, pipeline, attached, stalled):
    """The longest wait for room since a reader's last look is that reader's."""
    often, seldom = reader(), reader()
    attached(often, seldom)
    stalled(clock, 4.0)
    assert value(often, _names.BLOCKED_MAX) == 4.0
    stalled(clock, 1.5)
    assert value(often, _names.BLOCKED_MAX) == 1.5
    assert value(often, _names.BLOCKED_MAX) == 0
    assert value(seldom, _names.BLOCKED_MAX) == 4.0
    assert value(seldom, _names.BLOCKED_MAX) == 0


def test_time_blocked_only_grows(clock, pipeline, attached, stalled):
    """The sum of waits is the same for everyone, and no reader resets it."""
    one, other = reader(), reader()
    attached(one, other)
    seen = []
    for seconds in (1.0, 0.5):
        stalled(clock, seconds)
        seen += [value(each, _names.PUT_BLOCKED) for each in (one, other, one)]
    assert seen == [1.0, 1.0, 1.0, 1.5, 1.5, 1.5]
    assert pipeline.stats()["queues"]["full"]["put_blocked"] == 1.5
