"""An unmodified program into the real stack: every number is the program's own."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import run_program
from harness.backends import eventually

EXAMPLE = Path(__file__).parents[2] / "examples" / "index_sources.py"
GOOD, UNDECODABLE, BROKEN = 90, 4, 3
FILES = GOOD + UNDECODABLE + BROKEN
STAGES = ("Reader", "Tokenizer", "enricher", "Enricher", "Writer")
#: Name of a span and of its parent; what a pool runs nests in the pool's own stage.
COMPLETE = Counter(
    {
        ("process Reader", "ingest"): 1,
        ("process Tokenizer", "ingest"): 1,
        ("process enricher", "ingest"): 1,
        ("process Enricher", "process enricher"): 1,
        ("process Writer", "ingest"): 1,
        ("ingest", ""): 1,
    }
)
CONSUMED = {
    ("Reader", "success"): FILES,
    ("Tokenizer", "success"): FILES - UNDECODABLE,
    ("Tokenizer", "failure"): UNDECODABLE,
    ("enricher", "success"): FILES - UNDECODABLE,
    ("Enricher", "success"): GOOD,
    ("Enricher", "failure"): BROKEN,
    ("Writer", "success"): GOOD,
}


@dataclass
class Run:
    """A finished run of the example."""

    service: str
    seconds: float
    stages: dict[str, dict[str, Any]] | None  # of its --json document


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A folder of Python files, of which some cannot be decoded, some not parsed."""
    folder = tmp_path_factory.mktemp("sources")
    for number in range(GOOD):
        text = f'"""Module {number}."""\n' + f"value_{number} = {number}\n" * 2000
        (folder / f"good_{number:03}.py").write_text(text)
    for number in range(UNDECODABLE):
        (folder / f"latin_{number}.py").write_bytes(b"name = 'caf\xe9'\n")
    for number in range(BROKEN):
        (folder / f"broken_{number}.py").write_text("def broken(:\n")
    return folder


@pytest.fixture(
    scope="module",
    params=[
        ("run", "http/protobuf"),
        ("run", "grpc"),
        ("instrument", "http/protobuf"),
        ("instrument", "grpc"),
    ],
    ids="-".join,
)
def run(request, stack, sources, tmp_path_factory):
    """The example, run into the stack under one of the two commands."""
    command, protocol = request.param
    service = f"index-{command}-{protocol.partition('/')[0]}"
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")
    env = {
        "OTEL_SERVICE_NAME": service,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": (
            stack.grpc_url if protocol == "grpc" else stack.otlp_url
        ),
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_METRIC_EXPORT_INTERVAL": "200",  # the run takes a second
    }
    document = tmp_path_factory.mktemp("run") / "stats.json"
    if command == "run":
        prefix = ("-m", "stagelight", "run", "--json", str(document))
        done = run_program(EXAMPLE, str(sources), env=env, prefix=prefix)
    else:
        done = run_program(
            EXAMPLE, str(sources), env=env, prefix=(str(instrument), sys.executable)
        )
    assert done.returncode == 0, done.stderr
    # What the program itself counted.
    assert f"{GOOD} files" in done.stdout
    assert f"{UNDECODABLE + BROKEN} failures" in done.stdout
    assert "lost" not in done.stderr
    seconds = float(re.search(r"in ([0-9.]+) s", done.stdout)[1])
    stages = None
    if document.exists():
        stages = json.loads(document.read_text())["pipelines"][service]["stages"]
    return Run(service, seconds, stages)


def test_traces(run, jaeger):
    """Each file has one trace with each stage's span and the right parents."""
    spans = GOOD * COMPLETE.total() + BROKEN * (COMPLETE.total() - 1) + UNDECODABLE * 3

    def all_there():
        """Traces appear with their first spans, the rest a batch later."""
        found = jaeger.traces(run.service)
        return found if sum(map(len, found.values())) >= spans else None

    traces = eventually(all_there) or jaeger.traces(run.service)
    assert len(traces) == FILES
    shapes = Counter()
    for spans in traces.values():
        names = {
            span.span_id: span.name.removesuffix(f" {run.service}") for span in spans
        }
        assert len(names) == len(spans)
        shape = Counter(
            (names[span.span_id], names.get(span.parent_id, span.parent_id))
            for span in spans
        )
        failed = {span.name for span in spans if span.failed}
        shapes[frozenset(shape.items()), frozenset(failed)] += 1
    upto_tokenizer = {
        ("process Reader", "ingest"): 1,
        ("process Tokenizer", "ingest"): 1,
    }
    upto_tokenizer["ingest", ""] = 1
    unparsed = COMPLETE - Counter({("process Writer", "ingest"): 1})
    assert shapes == {
        (frozenset(COMPLETE.items()), frozenset()): GOOD,
        (frozenset(unparsed.items()), frozenset({"process Enricher"})): BROKEN,
        (
            frozenset(upto_tokenizer.items()),
            frozenset({"process Tokenizer"}),
        ): UNDECODABLE,
    }
    kinds = {
        (span.name.split()[0], span.kind) for one in traces.values() for span in one
    }
    assert kinds == {("ingest", "CONSUMER"), ("process", "INTERNAL")}


def test_counters(run, prometheus):
    """Prometheus has exactly the counts of the program, stage by stage."""
    query = (
        "sum by (stagelight_stage_name, stagelight_outcome) "
        f'(stagelight_stage_consumed_events_total{{job="{run.service}"}}) > 0'
    )
    by_outcome = {(outcome, stage): n for (stage, outcome), n in CONSUMED.items()}
    eventually(lambda: prometheus.query(query) == by_outcome)
    assert prometheus.query(query) == by_outcome
    produced = (
        "sum by (stagelight_stage_name) "
        f'(stagelight_stage_produced_events_total{{job="{run.service}"}})'
    )
    successes = {
        (stage,): n for (stage, outcome), n in CONSUMED.items() if outcome == "success"
    }
    eventually(lambda: prometheus.query(produced) == successes)
    assert prometheus.query(produced) == successes
    enqueued = (
        "sum by (stagelight_queue_name) "
        f'(stagelight_queue_enqueued_events_total{{job="{run.service}"}})'
    )
    # The program's None, which ends a worker, is an item of the queue as well.
    put = {
        ("loaded",): FILES + 2,
        ("tokenized",): FILES - UNDECODABLE + 1,
        ("enriched",): GOOD + 1,
        ("enricher",): FILES - UNDECODABLE,
    }
    eventually(lambda: prometheus.query(enqueued) == put)
    assert prometheus.query(enqueued) == put


def test_histograms(run, prometheus):
    """Histograms count what the counters count; sums are those of the document."""
    name = "stagelight_stage_process_duration_seconds"
    by = "sum by (stagelight_stage_name, stagelight_outcome)"
    chosen = f'{{job="{run.service}"}}'
    by_outcome = {(outcome, stage): n for (stage, outcome), n in CONSUMED.items()}
    query = f"{by} ({name}_count{chosen})"
    eventually(lambda: prometheus.query(query) == by_outcome)
    assert prometheus.query(query) == by_outcome
    infinite = f'{{job="{run.service}", le="+Inf"}}'
    assert prometheus.query(f"{by} ({name}_bucket{infinite})") == by_outcome
    # Two threads tokenize, and two of the pool enrich.
    workers = {"Reader": 1, "Tokenizer": 2, "enricher": 2, "Enricher": 2, "Writer": 1}
    sums = prometheus.query(f"sum by (stagelight_stage_name) ({name}_sum{chosen})")
    assert set(sums) == {(stage,) for stage in STAGES}
    for (stage,), seconds in sums.items():
        assert 0 < seconds <= workers[stage] * (run.seconds + 0.1)
    assert sums["Enricher",] < sums["enricher",]
    if run.stages:
        for (stage,), seconds in sums.items():
            duration = run.stages[stage]["duration"]
            assert seconds == pytest.approx(duration["mean"] * duration["count"])


def test_exemplars(run, prometheus, jaeger):
    """Each exemplar's trace and span can be found in Jaeger."""
    query = f'stagelight_stage_process_duration_seconds_bucket{{job="{run.service}"}}'
    labels = eventually(lambda: prometheus.exemplars(query))
    assert labels
    wanted = {exemplar["span_id"] for exemplar in labels}

    def there():
        found = jaeger.traces(run.service)
        return found if wanted <= {s.span_id for o in found.values() for s in o} else 0

    traces = eventually(there)
    spans = {span.span_id: span for one in traces.values() for span in one}
    for exemplar in labels:
        assert jaeger.trace(exemplar["trace_id"])
        assert spans[exemplar["span_id"]].trace_id == exemplar["trace_id"]
        assert spans[exemplar["span_id"]].name.startswith("process ")


def test_failure_logs(run, log_backend, jaeger):
    """Each failed event has its log record, with the trace id that Jaeger knows."""

    def records():
        return [
            log
            for log in log_backend.logs()
            if log.resource.get("service.name") == run.service
            and log.event_name == "stagelight.stage.process.exception"
        ]

    eventually(lambda: len(records()) >= UNDECODABLE + BROKEN)
    found = Counter(
        (
            log.attributes["stagelight.stage.name"],
            log.attributes["exception.type"],
            log.attributes["stagelight.event.id"],
        )
        for log in records()
    )
    assert found == Counter(
        [
            *[
                ("Tokenizer", "UnicodeDecodeError", f"latin_{number}.py")
                for number in range(UNDECODABLE)
            ],
            *[
                ("Enricher", "SyntaxError", f"broken_{number}.py")
                for number in range(BROKEN)
            ],
        ]
    )
    for log in records():
        spans = {span.span_id: span for span in jaeger.trace(log.trace_id)}
        span = spans[log.span_id]
        assert span.failed
        assert span.name == f"process {log.attributes['stagelight.stage.name']}"
        assert (
            span.attributes["stagelight.event.id"]
            == log.attributes["stagelight.event.id"]
        )
