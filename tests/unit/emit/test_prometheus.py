from __future__ import annotations

import queue
from typing import TYPE_CHECKING

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from prometheus_client import REGISTRY as PROMETHEUS
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from harness.readers import collect, points, reader
from stagelight import _names

if TYPE_CHECKING:
    from collections.abc import Iterator

DURATION = "stagelight_stage_process_duration_seconds"


def scraped(name):
    """Samples of one scrape: attributes without the scope's, and value."""
    return [
        (sample.name, _own(sample.labels), sample.value)
        for family in text_string_to_metric_families(
            generate_latest(PROMETHEUS).decode("utf-8")
        )
        for sample in family.samples
        if sample.name.startswith(name)
    ]


def _own(labels):
    # To Prometheus an empty label is none.
    return {
        key.removeprefix("stagelight_"): value
        for key, value in labels.items()
        if value and not key.startswith("otel_scope")
    }


@pytest.fixture
def beside(attached) -> Iterator:
    """A Prometheus reader and one in memory, of one provider."""
    prometheus, memory = PrometheusMetricReader(), reader(delta=True)
    attached(prometheus, memory)
    return memory


def test_a_scrape_has_the_histogram(pipeline, beside):
    """Prometheus is given buckets, count and sum under its own names."""

    @pipeline.stage
    def parse(event):
        if event == 2:
            raise ValueError(event)
        return event

    for number in range(5):
        if number == 2:
            with pytest.raises(ValueError, match="2"):
                parse(number)
        else:
            parse(number)
    samples = scraped(DURATION)
    good = {"pipeline_name": "unit", "stage_name": "parse", "outcome": "success"}
    bad = {**good, "outcome": "failure", "error_type": "ValueError"}
    for labels, count in ((good, 4), (bad, 1)):
        buckets = [
            (found["le"], value)
            for name, found, value in samples
            if name == f"{DURATION}_bucket" and {**labels, "le": found["le"]} == found
        ]
        bounds = [str(bound) for bound in _names.DURATION_BUCKETS]
        assert [bound for bound, _ in buckets] == [*bounds, "+Inf"]
        values = [value for _, value in buckets]
        assert values == sorted(values)
        assert values[-1] == count
        assert (f"{DURATION}_count", labels, count) in samples
    counted = scraped("stagelight_stage_consumed_events_total")
    assert [(labels["outcome"], value) for _, labels, value in counted] == [
        ("success", 4),
        ("failure", 1),
    ]


def test_scrapes_do_not_disturb_another_reader(pipeline, beside):
    """A delta reader beside it gets its deltas, however often Prometheus scrapes."""
    work = pipeline.stage(lambda event: event, name="work")
    given = []
    for calls in (3, 0, 2):
        for number in range(calls):
            work(number)
        scraped(DURATION)
        scraped(DURATION)
        found = points(collect(beside), _names.PROCESS_DURATION.name)
        given.append(sum(point.count for point in found))
    assert given == [3, 0, 2]
    ((_, _, whole),) = scraped(f"{DURATION}_count")
    assert whole == 5


def test_queue_gauges_are_scraped(pipeline, beside):
    """Sizes and capacities arrive as gauges, without a suffix of their own."""
    jobs = pipeline.queue(queue.Queue(10), "jobs")
    jobs.put(1)
    labels = {"pipeline_name": "unit", "queue_name": "jobs"}
    for name, value in (("size", 1), ("capacity", 10), ("high_watermark", 1)):
        (sample,) = scraped(f"stagelight_queue_{name}")
        assert sample == (f"stagelight_queue_{name}", labels, value)
