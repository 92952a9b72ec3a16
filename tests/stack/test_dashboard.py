"""Every query of the Grafana dashboard, asked of the real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from harness import start_program
from harness.backends import eventually

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads(
    subprocess.run(
        [sys.executable, "-m", "stagelight", "grafana"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
)
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
]
VARIABLES = [
    pytest.param(one["query"]["query"], id=one["name"])
    for one in DASHBOARD["templating"]["list"]
    if one["type"] == "query"
]

#: What the example lacks: retries, drops, a queue that refuses, batches, an alert.
ROUGH = """
import queue
import time
import stagelight
from stagelight import alerts

alerts.start({"rules": ["queue.size > 0 for 1s on small"], "interval": 1})
stagelight.detail("detailed")
pipeline = stagelight.Pipeline("rough")

@pipeline.stage
def sift(number):
    if number % 5 == 0:
        stagelight.retry()
    if number % 7 == 0:
        stagelight.drop("sevenths")
    if number % 11 == 0:
        raise ValueError(number)
    return number

@pipeline.stage
def pack(batch):
    return sum(batch)

small = pipeline.queue(queue.Queue(3), "small")
for number in range(1_000_000):
    try:
        small.put_nowait(sift(number))
    except (queue.Full, ValueError):
        pass
    if number % 50 == 0:
        pack([1, 2, 3])
        while not small.empty():
            small.get_nowait()
    time.sleep(0.005)
"""


@pytest.fixture(scope="module")
def fed(stack, prometheus):
    """Prometheus while two programs run: the example, and one with more trouble."""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_url,
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
    }
    rough = env | {"STAGELIGHT_ALERTS": "false"}  # it has rules of its own
    run = ("-m", "stagelight", "run", "--no-table")
    example = ROOT / "examples" / "index_sources.py"
    everything = sysconfig.get_paths()["purelib"]  # enough for a minute
    with (
        start_program(example, everything, env=env, prefix=run, cwd=ROOT),
        start_program(ROUGH, env=rough, prefix=(*run, "--name", "rough")),
    ):
        through = "rate(stagelight_pipeline_duration_seconds_count[10s]) > 0"
        refused = (
            'rate(stagelight_queue_enqueued_events_total{error_type!=""}[10s]) > 0'
        )
        assert eventually(lambda: prometheus.query(through))
        assert eventually(lambda: prometheus.query(refused))
        yield prometheus


def asked(query):
    """A query as Grafana asks it when nothing is chosen."""
    query = re.sub(r"\$(service|instance|pipeline|stage)\b", ".*", query)
    return query.replace("$__rate_interval", "15s")


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_returns_data(fed, query):
    """No panel of the dashboard is empty while pipelines run."""
    found = eventually(lambda: fed.query(asked(query)))
    assert found
    assert not all(value != value for value in found.values())  # noqa: PLR0124 - not NaN


@pytest.mark.parametrize("query", VARIABLES)
def test_each_variable_offers_values(fed, query):
    """Each choice at the dashboard's top has something to choose."""
    metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()
    counted = f"count by ({label}) ({asked(metric)})"

    def offered():
        return {values[0] for values in fed.query(counted)}

    eventually(lambda: len(offered()) >= 2)
    assert len(offered()) >= 2


def test_exemplars_lead_to_traces(fed, jaeger):
    """A dot in a panel of durations has a trace id that Jaeger knows."""
    drawn = [
        target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
        if target.get("exemplar")
    ]
    assert len(drawn) >= 2
    for query in drawn:
        ids = eventually(
            lambda query=query: [one["trace_id"] for one in fed.exemplars(asked(query))]
        )
        assert ids, query
        assert eventually(lambda ids=ids: jaeger.trace(ids[-1])), query


def test_the_bottleneck_is_told_by_name(fed):
    """The overview names one stage of one pipeline."""
    [panel] = [one for one in DASHBOARD["panels"] if one["title"] == "Bottleneck"]
    found = eventually(lambda: fed.query(asked(panel["targets"][0]["expr"])))
    assert len(found) == 1
    [(pipeline, stage)] = found
    assert pipeline in {"index_sources", "rough"}
    assert stage
