"""Histograms and counters as several readers get them, one beside the other."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
)
from opentelemetry.sdk.metrics.view import DropAggregation

import stagelight
from harness.readers import Attached, Pushed, by_name, collect, points, reader
from stagelight import _names
from stagelight._cells import NANOSECONDS, explicit_counts, exponential_counts
from stagelight._distribution import Distribution
from stagelight._metrics import _producer
from stagelight._registry import REGISTRY

DURATION = _names.PROCESS_DURATION.name
KINDS = list(product((False, True), repeat=2))
OUTCOMES = [
    (_names.SUCCESS, ""),
    (_names.FAILURE, "ValueError"),
    (_names.TIMEOUT, "TimeoutError"),
]
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("call"),
            st.sampled_from(OUTCOMES),
            st.integers(0, 20 * NANOSECONDS),
        ),
        st.tuples(st.just("read"), st.integers(0, len(KINDS)), st.none()),
        st.tuples(st.just("end"), st.none(), st.none()),
    ),
    max_size=30,
)


@dataclass
class Received:
    """What one reader was given so far, all collections together."""

    delta: bool
    exponential: bool
    counts: Counter[Any] = field(default_factory=Counter)
    sums: Counter[Any] = field(default_factory=Counter)
    buckets: dict[Any, Counter[int]] = field(default_factory=dict)
    consumed: Counter[str] = field(default_factory=Counter)
    times: list[tuple[int, int]] = field(default_factory=list)

    def take(self, metrics):
        """Take one collection: a delta adds to what is known, a total replaces it."""
        if not self.delta:
            self.counts.clear()
            self.sums.clear()
            self.buckets.clear()
            self.consumed.clear()
        found = points(metrics, DURATION)
        for point in found:
            attributes = point.attributes
            key = attributes[_names.OUTCOME], attributes.get(_names.ERROR_TYPE, "")
            self.counts[key] += point.count
            self.sums[key] += round(point.sum * NANOSECONDS)
            self.buckets.setdefault(key, Counter()).update(self.filled(point))
            assert point.count == sum(self.filled(point).values())
        for point in points(metrics, _names.CONSUMED.name):
            self.consumed[point.attributes[_names.OUTCOME]] += point.value
        self.times += {(one.start_time_unix_nano, one.time_unix_nano) for one in found}

    def filled(self, point):
        """Counts of the buckets that are not empty, by their place."""
        if self.exponential:
            places = enumerate(point.positive.bucket_counts, point.positive.offset)
            counts = dict(places) | {-1000: point.zero_count}
        else:
            counts = dict(enumerate(point.bucket_counts))
        return {place: count for place, count in counts.items() if count}

    def check(self, samples):
        """Compare with the samples, each counted for itself."""
        for key in OUTCOMES:
            whole = Distribution()
            for sample in samples[key]:
                whole.record(sample)
            zero, offset, counts = exponential_counts(whole.cells)
            expected = dict(enumerate(explicit_counts(whole.cells)))
            if self.exponential:
                expected = dict(enumerate(counts, offset)) | {-1000: zero}
            found = self.buckets.get(key, Counter())
            assert self.counts[key] == len(samples[key])
            assert self.sums[key] == sum(samples[key])
            assert found == {place: one for place, one in expected.items() if one}
        assert +self.consumed == +Counter(
            {outcome: len(samples[outcome, kind]) for outcome, kind in OUTCOMES}
        )


class Timed:
    """A stage of a pipeline of its own, called with the durations that we choose."""

    def __init__(self):
        REGISTRY.pipelines.clear()

        @stagelight.Pipeline("handover").stage
        def work(event):
            return event

        self.record = REGISTRY.pipeline("handover").stages["work"]
        self.samples: dict[Any, list[int]] = {key: [] for key in OUTCOMES}

    def call(self, key, took):
        """Count one call in this thread's slot."""
        slot = self.record.slot()
        part = slot if key == OUTCOMES[0] else slot.failure(*key)
        part.record(took)
        self.samples[key].append(took)

    def end(self):
        """Let this thread's slot retire, as if its thread had ended."""
        slot = self.record.slot()
        slot.worker.slots.remove(slot)
        self.record.fold(slot)
        del self.record.local.slot


@settings(max_examples=60)
@given(STEPS)
def test_readers_take_turns_and_miss_nothing(steps):
    """Whoever reads when and how, each gets every sample exactly once."""
    timed, attached = Timed(), Attached()
    readers = [reader(delta=delta, exponential=exp) for delta, exp in KINDS]
    received = [Received(delta, exp) for delta, exp in KINDS]
    attached(*readers[:2])
    attached(*readers[2:])  # another provider of the same process
    try:
        for step, one, two in steps:
            if step == "call":
                timed.call(one, two)
            elif step == "end":
                timed.end()
            elif one == len(KINDS):
                stagelight.Pipeline("handover").stats()  # resets nothing either
            else:
                received[one].take(collect(readers[one]))
        for each, whole in zip(readers, received, strict=True):
            whole.take(collect(each))
            whole.check(timed.samples)
            whole.take(collect(each))  # reading twice resets and repeats nothing
            whole.check(timed.samples)
    finally:
        attached.close()
    for whole in received:
        starts = {start for start, _ in whole.times}
        if whole.delta:  # intervals are in order, and none overlaps another
            assert len(starts) == len(whole.times)
            ordered = sorted(whole.times)
            assert all(end <= start for (_, end), (start, _) in pairwise(ordered))
        else:
            assert len(starts) <= 1


def test_intervals_of_a_delta_reader_join(attached, pipeline):
    """A delta begins where the reader's last collection ended, even an empty one."""
    work = pipeline.stage(lambda event: event, name="work")
    one = reader(delta=True)
    attached(one)
    work(1)
    (first,) = points(collect(one), DURATION)
    assert points(collect(one), DURATION) == []
    work(2)
    (third,) = points(collect(one), DURATION)
    assert first.time_unix_nano < third.start_time_unix_nano < third.time_unix_nano
    assert (first.count, third.count) == (1, 1)


def test_extremes_are_of_the_whole_or_not_told(attached):
    """A cumulative point has its extremes; of an interval nobody knows them."""
    timed = Timed()
    readers = [reader(delta=delta, exponential=exp) for delta, exp in KINDS]
    attached(*readers)
    for took in (3_000, 1_000_000, 2_000):
        timed.call(OUTCOMES[0], took)
    for (delta, _), each in zip(KINDS, readers, strict=True):
        (point,) = points(collect(each), DURATION)
        expected = (None, None) if delta else (2e-6, 1e-3)
        assert (point.min, point.max) == expected


def test_every_reader_gets_the_shape_it_prefers(attached):
    """Temporality, aggregation, bounds, unit and text are as asked and as the table."""
    timed = Timed()
    timed.call(OUTCOMES[0], 1_000_000)
    readers = [reader(delta=delta, exponential=exp) for delta, exp in KINDS]
    attached(*readers)
    for (delta, exponential), each in zip(KINDS, readers, strict=True):
        metric = collect(each)[DURATION]
        wanted = AggregationTemporality.CUMULATIVE
        if delta:
            wanted = AggregationTemporality.DELTA
        assert metric.data.aggregation_temporality is wanted
        (point,) = metric.data.data_points
        assert hasattr(point, "scale") is exponential
        if exponential:
            assert (point.scale, point.zero_count, point.negative.bucket_counts) == (
                2,
                0,
                [],
            )
        else:
            assert point.explicit_bounds == _names.DURATION_BUCKETS
        assert (metric.unit, metric.description) == (
            _names.PROCESS_DURATION.unit,
            _names.PROCESS_DURATION.description,
        )


def test_a_reader_that_drops_histograms_gets_none(attached):
    """Only the counters go to a reader that wants no histogram."""
    timed = Timed()
    timed.call(OUTCOMES[0], 1_000)
    aggregation: dict[type, Any] = {Histogram: DropAggregation()}
    one = InMemoryMetricReader(preferred_aggregation=aggregation)
    attached(one)
    metrics = collect(one)
    assert DURATION not in metrics
    assert [p.value for p in points(metrics, _names.CONSUMED.name)] == [1]


def test_a_reader_that_comes_late_gets_everything(attached):
    """A cumulative reader knows all since the start; so does a new delta reader."""
    timed = Timed()
    timed.call(OUTCOMES[0], 1_000)
    early = reader()
    attached(early)
    collect(early)
    timed.call(OUTCOMES[0], 3_000)
    for late in (reader(), reader(delta=True)):
        attached(late)
        (point,) = points(collect(late), DURATION)
        assert (point.count, point.sum) == (2, 4e-6)


def test_nothing_is_said_of_what_never_was(attached, pipeline):
    """A stage that was never called has its zero counts, and no histogram."""
    pipeline.stage(lambda event: event, name="work")
    one = reader()
    attached(one)
    metrics = collect(one)
    assert DURATION not in metrics
    (point,) = points(metrics, _names.CONSUMED.name)
    assert (point.value, point.attributes[_names.OUTCOME]) == (0, _names.SUCCESS)


def beside(readers, writers):
    """Run the writers to their end, and the readers again and again meanwhile."""
    stop = threading.Event()

    def again(read):
        while not stop.is_set():
            read()

    reading = [threading.Thread(target=again, args=(read,)) for read in readers]
    writing = [threading.Thread(target=write) for write in writers]
    for thread in (*reading, *writing):
        thread.start()
    for thread in writing:
        thread.join()
    stop.set()
    for thread in reading:
        thread.join()


def test_threads_may_flush_one_reader_at_once(attached, pipeline, monkeypatch):
    """Collections of one reader take turns: no delta is handed over twice or lost."""
    inner = _producer.histograms

    def slowly(*arguments, **options):
        time.sleep(random.random() / 500)  # others overtake, unless they must wait
        return inner(*arguments, **options)

    monkeypatch.setattr(_producer, "histograms", slowly)
    work = pipeline.stage(lambda event: event, name="work")
    one = Pushed()
    attached(one)

    def write():
        for number in range(2_000):
            work(number)

    beside([one.collect] * 3, [write] * 3)
    one.collect()
    received = Received(delta=True, exponential=False)
    for data in one.received:
        metrics = by_name(data)
        received.take(metrics)
        for point in points(metrics, DURATION):
            assert min(point.bucket_counts) >= 0 < point.count
    assert len(one.received) > 3
    assert received.counts == {OUTCOMES[0]: 6_000}
    assert received.consumed == {_names.SUCCESS: 6_000}


@pytest.mark.parametrize("exponential", [False, True])
def test_exemplars_lead_to_the_span(spans, attached, pipeline, exponential):
    """A bucket points at the newest sampled span in it, and an old one is not told."""
    work = pipeline.stage(lambda event: event, name="work")
    one, other = reader(exponential=exponential), reader(delta=True)
    attached(one, other)
    work(1)
    (span,) = spans.named("process work")
    for each in (one, other):
        (point,) = points(collect(each), DURATION)
        (exemplar,) = point.exemplars
        assert exemplar.trace_id == span.context.trace_id
        assert exemplar.span_id == span.context.span_id
        assert point.start_time_unix_nano <= exemplar.time_unix_nano
        assert exemplar.value == pytest.approx(point.sum)
    assert points(collect(other), DURATION) == []
