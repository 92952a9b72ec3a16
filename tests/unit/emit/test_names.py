"""Everything that leaves the process is what the table of names says."""

from __future__ import annotations

import ast
import queue
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    InMemoryMetricReader,
    Sum,
)

import stagelight
from harness.readers import collect
from stagelight import _guard, _logs, _names, _sinks, _workers, testing
from stagelight._slots import DETAILED
from stagelight._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = {metric.name: metric for metric in _names.METRICS}
#: Attributes that a point always has; the others of a row depend on what happened.
SOMETIMES = {_names.ERROR_TYPE, _names.SHARED}
#: What the alert engine would tell.
FIRING = {
    "state": "firing",
    "attributes": dict.fromkeys(_names.ALERT_STATUS.attributes, "any"),
}


def parse(event):
    """Fail, drop or repeat, as the event says."""
    if event["do"] == "fail":
        raise ValueError("bad")
    if event["do"] == "drop":
        stagelight.drop("filtered")
    if event["do"] == "retry":
        stagelight.retry()
    return event


def everything_happens(pipeline):
    """Fail, drop, repeat, refuse, wait and pool, so that every metric has a point."""
    jobs = pipeline.queue(queue.Queue(2), "jobs")
    pipeline._record.queues["jobs"].shared = True
    stage = pipeline.stage(parse)

    @pipeline.stage
    def feed(event):
        jobs.put_nowait(event)

    @pipeline.stage
    def split(event):
        yield from (event, event)

    for number, do in enumerate(["", "fail", "refused"]):
        with suppress(queue.Full):
            feed({"id": number, "do": do})
    for number, do in enumerate(["", "fail", "drop", "retry"]):
        event = {"id": number, "do": do} if jobs.empty() else jobs.get()
        with suppress(ValueError):
            stage(event)
    list(split({"id": 9}))

    @pipeline.stage
    def batch(events):
        return events

    _workers.set_alert(DETAILED, on=True)
    batch([1, 2, 3])
    _workers.set_alert(DETAILED, on=False)
    feed({"id": 10, "do": ""})
    with ThreadPoolExecutor(2) as executor:
        pipeline.pool(executor, "pool")
        executor.submit(stage, {"id": 1, "do": "fail"}).exception()
        executor.submit(lambda _: None, 1)
    return jobs


@pytest.fixture
def emitted(pipeline, monkeypatch) -> Iterator:
    """What a pipeline emits when everything happens, and all of its metrics."""
    reader = InMemoryMetricReader()
    with testing.capture(reader) as telemetry:
        alive = everything_happens(pipeline)
        stagelight.force_flush()
        monkeypatch.setitem(_guard.ERRORS, "collect", 1)
        monkeypatch.setitem(_guard.LOST, "logs", 2)
        health = [(pipeline.name, "stage", _names.HEALTHY)]
        monkeypatch.setattr(_sinks, "STATUS", [lambda: health])
        monkeypatch.setattr(_sinks, "ALERTS", [lambda: [FIRING]])
        yield telemetry, reader
        assert not alive.empty()


def test_metrics_are_exactly_the_table(emitted):
    """Each row is emitted with its unit, kind, text and attributes; nothing else is."""
    _, reader = emitted
    metrics = collect(reader)
    assert set(metrics) == set(ROWS)
    kinds = {
        _names.COUNTER: (Sum, True),
        _names.UP_DOWN: (Sum, False),
        _names.GAUGE: (Gauge, None),
        _names.HISTOGRAM: (Histogram, None),
    }
    for name, metric in metrics.items():
        row = ROWS[name]
        shape = type(metric.data), getattr(metric.data, "is_monotonic", None)
        assert (metric.unit, metric.description) == (row.unit, row.description), name
        assert shape == kinds[row.kind], name
        if row.kind != _names.GAUGE:
            assert (
                metric.data.aggregation_temporality is AggregationTemporality.CUMULATIVE
            )
        for point in metric.data.data_points:
            keys = tuple(point.attributes)
            assert keys == tuple(key for key in row.attributes if key in keys), name
            assert {*row.attributes} - {*keys} <= SOMETIMES, name


def test_each_attribute_of_the_table_occurs(emitted):
    """A column that nothing ever fills would be an error in the table."""
    _, reader = emitted
    for name, metric in collect(reader).items():
        seen = {key for point in metric.data.data_points for key in point.attributes}
        assert seen == {*ROWS[name].attributes}, name


def test_error_type_is_on_failures_only(emitted):
    """One histogram for success and failure, told apart by the outcome."""
    _, reader = emitted
    metrics = collect(reader)
    for point in metrics[_names.PROCESS_DURATION.name].data.data_points:
        failed = point.attributes[_names.OUTCOME] in _names.ERRORS
        assert (_names.ERROR_TYPE in point.attributes) is failed
        assert point.attributes[_names.OUTCOME] in _names.OUTCOMES
    for point in metrics[_names.WORKER_TIME.name].data.data_points:
        assert point.attributes[_names.WORKER_STATE] in _names.WORKER_STATES


def test_buckets_are_those_of_the_table(emitted):
    """Bounds scaled to in-process stages, longer ones for whole journeys."""
    _, reader = emitted
    metrics = collect(reader)
    for row in (r for r in _names.METRICS if r.kind == _names.HISTOGRAM):
        bounds = _names.DURATION_BUCKETS
        if row is _names.PIPELINE_DURATION:
            bounds = _names.PIPELINE_BUCKETS
        elif row is _names.BATCHES:
            bounds = _names.BATCH_BUCKETS
        for point in metrics[row.name].data.data_points:
            assert point.explicit_bounds == bounds


def test_the_scope_is_ours(emitted):
    """All three signals name one scope, with version and schema."""
    telemetry, reader = emitted
    data = reader.get_metrics_data()
    assert data is not None
    scopes = {one.scope for res in data.resource_metrics for one in res.scope_metrics}
    scopes |= {span.instrumentation_scope for span in telemetry._spans._finished_spans}
    scopes |= {one.instrumentation_scope for one in telemetry._logs.get_finished_logs()}
    assert {(one.name, one.version, one.schema_url) for one in scopes} == {
        (_names.SCOPE, __version__, _names.SCHEMA_URL)
    }


SPAN_ATTRIBUTES = {
    _names.PIPELINE,
    _names.STAGE,
    _names.FUNCTION,
    _names.QUEUE,
    _names.QUEUE_WAIT,
    _names.BLOCKED,
    _names.BATCH_SIZE,
    _names.OUTCOME,
    _names.ERROR_TYPE,
    _names.EVENT_ID,
    _names.ATTEMPT,
    _names.DROP_REASON,
    _names.THREAD_NAME,
}
LOG_ATTRIBUTES = {
    _names.PIPELINE,
    _names.STAGE,
    _names.QUEUE,
    _names.EVENT_ID,
    _names.OUTCOME,
    _names.ERROR_TYPE,
    _names.ATTEMPT,
    _names.DROP_REASON,
    _names.DROP_INTENTIONAL,
    _logs.SUPPRESSED,
    "stagelight.duration",
    "stagelight.queue.size",
    "stagelight.queue.capacity",
    "exception.type",
    "exception.message",
    "exception.stacktrace",
}


def test_spans_have_known_names_and_attributes(emitted):
    """A short root for each journey, and one span for each stage call below it."""
    telemetry, _ = emitted
    spans = telemetry.spans()
    kinds = {(span["name"], span["kind"]) for span in spans}
    assert kinds == {
        ("ingest unit", "CONSUMER"),
        *(
            (f"process {name}", "INTERNAL")
            for name in ("parse", "feed", "split", "batch")
        ),
        ("process pool", "INTERNAL"),
    }
    seen = {key for span in spans for key in span["attributes"]}
    assert seen <= SPAN_ATTRIBUTES
    for span in spans:
        if span["kind"] == "INTERNAL":
            assert {_names.PIPELINE, _names.STAGE, _names.OUTCOME} <= {
                *span["attributes"]
            }


def test_logs_have_known_names_and_attributes(emitted):
    """Failures, drops and full queues, with the attributes that are documented."""
    telemetry, _ = emitted
    logs = telemetry.logs()
    assert {log["event_name"] for log in logs} == {
        _names.EXCEPTION_EVENT,
        _names.DROPPED_EVENT,
        _names.QUEUE_FULL_EVENT,
        _names.QUEUE_RECOVERED_EVENT,
    }
    assert {key for log in logs for key in log["attributes"]} <= LOG_ATTRIBUTES


def test_the_table_follows_the_conventions():
    """Names are dotted and unique, units are UCUM, texts one sentence without stop."""
    assert len(ROWS) == len(_names.METRICS)
    for row in _names.METRICS:
        assert row.name.startswith((f"{_names.SCOPE}.", "process."))
        assert row.name == row.name.lower()
        assert row.unit in {"s", "By", "1"} or (row.unit[0], row.unit[-1]) == ("{", "}")
        assert not row.name.endswith(("_total", ".count.total", "_seconds"))
        assert row.description[0].isupper()
        assert not row.description.endswith(".")
        assert len(set(row.attributes)) == len(row.attributes)


def test_metric_names_are_written_once():
    """No other module spells a metric's name: the table is the only source."""
    root = Path(_names.__file__).parent
    for path in root.rglob("*.py"):
        # Rules name sources, of which those of the process are spelt like metrics.
        if path.name in {"_names.py", "_own_names.py", "_process_metrics.py"} or (
            "alerts" in path.parts
        ):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        spelt = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not spelt & {*ROWS}, path
