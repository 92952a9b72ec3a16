"""What configure() makes, adopts, follows and refuses, in programs of their own."""

from __future__ import annotations

import json

import pytest

from harness import run_program

CONSUMED = "stagelight.stage.consumed.events"
DURATION = "stagelight.stage.process.duration"

WORK = """
    pipeline = stagelight.Pipeline("orders")

    @pipeline.stage
    def work(event):
        if event["id"] == 2:
            raise ValueError("bad")
        return event

    for number in range(4):
        try:
            work({"id": number})
        except ValueError:
            pass
"""
PLAIN = f"""
    import stagelight
    stagelight.configure(service_name="orders"){WORK}"""


def counts(receiver):
    """Consumed events by outcome."""
    return {
        point.attributes["stagelight.outcome"]: point.value
        for point in receiver.last(CONSUMED)
    }


def test_all_three_signals_arrive(receiver, export):
    """Two lines in a program bring spans, metrics and logs under the service's name."""
    export(PLAIN)
    spans = receiver.spans()
    assert [span.name for span in spans].count("process work") == 4
    assert [span.name for span in spans].count("ingest orders") == 4
    (log,) = receiver.logs()
    assert log.attributes["stagelight.event.id"] == "2"
    assert counts(receiver) == {"success": 3, "failure": 1}
    failed = next(span for span in spans if span.status.code == "ERROR")
    assert (log.trace_id, log.span_id) == (failed.trace_id, failed.span_id)
    items = [*spans, log, *receiver.metrics()]
    assert {item.resource["service.name"] for item in items} == {"orders"}
    assert len({item.resource["service.instance.id"] for item in items}) == 1
    assert {(item.scope.name, item.scope.schema_url[:8]) for item in items} == {
        ("stagelight", "https://")
    }


@pytest.mark.parametrize(
    ("env", "requests"),
    [
        ({}, {"http/protobuf"}),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, {"grpc"}),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, {"grpc", "http/protobuf"}),
    ],
    ids=["default", "grpc", "one signal"],
)
def test_protocols(receiver, env, requests):
    """http/protobuf unless the environment says grpc, for all signals or for one."""
    if "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL" in env:
        env = {**env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": receiver.grpc_endpoint}
    grpc = env.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc"
    endpoint = receiver.grpc_endpoint if grpc else receiver.http_endpoint
    env = {**env, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    result = run_program(PLAIN, env=env)
    assert (result.returncode, result.stderr) == (0, "")
    assert {protocol for _, protocol in receiver.requests} == requests
    assert {signal for signal, _ in receiver.accepted} == {"traces", "metrics", "logs"}


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_a_signal_may_be_switched_off(receiver, export, signal):
    """OTEL_{signal}_EXPORTER=none leaves the other two."""
    export(PLAIN, env={f"OTEL_{signal.upper()}_EXPORTER": "none"})
    assert {one for one, _ in receiver.accepted} == {
        "traces",
        "metrics",
        "logs",
    } - {signal}


def test_the_sdk_may_be_switched_off(receiver, export):
    """OTEL_SDK_DISABLED sends nothing, and stats() goes on."""
    program = PLAIN + "    print(pipeline.stats()['stages']['work']['count'])\n"
    result = export(program, env={"OTEL_SDK_DISABLED": "true"})
    assert result.stdout == "4\n"
    assert not receiver.requests


def test_the_environment_goes_before_arguments(receiver, export):
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what the code says."""
    program = PLAIN.replace(
        'service_name="orders"',
        'service_name="orders", resource_attributes={"tier": "code", "own": "yes"}',
    )
    env = {
        "OTEL_SERVICE_NAME": "outside",
        "OTEL_RESOURCE_ATTRIBUTES": "tier=gold,service.namespace=shop",
    }
    export(program, env=env)
    resource = receiver.spans()[0].resource
    wanted = {
        "service.name": "outside",
        "service.namespace": "shop",
        "tier": "gold",
        "own": "yes",
    }
    assert wanted.items() <= resource.items()


def test_delta_temporality(receiver, export):
    """The preference for deltas holds for counters and for our histograms."""
    export(PLAIN, env={"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"})
    kinds = {
        (point.metric, point.temporality)
        for name in (CONSUMED, DURATION, "stagelight.stage.active")
        for point in receiver.points(name)
    }
    assert kinds == {
        (CONSUMED, "delta"),
        (DURATION, "delta"),
        ("stagelight.stage.active", "cumulative"),
    }
    assert sum(point.count or 0 for point in receiver.points(DURATION)) == 4


def test_exponential_histograms(receiver, export):
    """The preference for exponential histograms holds for ours."""
    key = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    export(PLAIN, env={key: "base2_exponential_bucket_histogram"})
    points = receiver.last(DURATION)
    assert {point.kind for point in points} == {"exponential_histogram"}
    assert sum(point.count or 0 for point in points) == 4


def test_exemplars_lead_to_spans(receiver, export):
    """A bucket names a span that was exported, and none where exemplars are off."""
    export(PLAIN)
    spans = {(span.trace_id, span.span_id) for span in receiver.spans()}
    found = [one for point in receiver.last(DURATION) for one in point.exemplars]
    assert found
    assert {(one.trace_id, one.span_id) for one in found} <= spans
    receiver.clear()
    export(PLAIN, env={"OTEL_METRICS_EXEMPLAR_FILTER": "always_off"})
    assert [one for point in receiver.last(DURATION) for one in point.exemplars] == []


@pytest.mark.parametrize(
    ("sampler", "argument", "expected"),
    [("always_off", "", 0), ("always_on", "", 200), ("traceidratio", "0.0", 0)],
)
def test_a_sampler_of_the_environment_decides(
    receiver, export, sampler, argument, expected
):
    """OTEL_TRACES_SAMPLER replaces our budget, and its verdict is final."""
    program = PLAIN.replace("range(4)", "range(200)").replace("== 2", "== -1")
    env = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    export(program, env=env)
    spans = [span for span in receiver.spans() if span.name == "process work"]
    assert len(spans) == expected


@pytest.mark.parametrize(("rate", "least", "most"), [(0, 0, 0), ('"all"', 200, 200)])
def test_a_budget_for_journeys(receiver, export, rate, least, most):
    """journeys_per_second may be none, or all."""
    program = (
        PLAIN.replace("range(4)", "range(200)")
        .replace("== 2", "== -1")
        .replace('"orders")', f'"orders", journeys_per_second={rate})', 1)
    )
    export(program)
    spans = [span for span in receiver.spans() if span.name == "process work"]
    assert least <= len(spans) <= most


def test_headers_and_compression(receiver, export):
    """Headers and compression are the SDK's own variables."""
    env = {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20secret",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    }
    export(PLAIN, env=env)
    assert {one["authorization"] for one in receiver.headers} == {"Bearer secret"}
    assert {one["content-encoding"] for one in receiver.headers} == {"gzip"}


def test_providers_that_are_set_are_adopted(receiver, export):
    """What the program set up itself is used as it is, and nothing is set again."""
    program = f"""
    import stagelight
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    own = TracerProvider(resource=Resource({{"service.name": "own"}}))
    own.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(own)
    stagelight.configure(service_name="orders")
    assert trace.get_tracer_provider() is own{WORK}"""
    export(program)
    assert {span.resource["service.name"] for span in receiver.spans()} == {"own"}
    assert {log.resource["service.name"] for log in receiver.logs()} == {"orders"}
    assert counts(receiver) == {"success": 3, "failure": 1}


def test_providers_that_come_later_are_found(receiver, export):
    """Without configure() at all, providers that the program sets later get it all."""
    program = f"""
    import stagelight
    {WORK.strip()}
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
        OTLPMetricExporter
    )
    traces = TracerProvider()
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(traces)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    metrics.set_meter_provider(MeterProvider([reader]))
    import threading
    thread = threading.Thread(target=work, args=({{"id": 9}},))
    thread.start()
    thread.join()
    """
    export(program)
    assert counts(receiver) == {"success": 4, "failure": 1}
    assert sum(point.count or 0 for point in receiver.last(DURATION)) == 5
    names = [span.name for span in receiver.spans()]
    assert names.count("process work") == 1  # of what ran before nobody took a span


def test_providers_as_arguments(export):
    """A program may pass providers of its own, which stay its own to close."""
    program = f"""
    import stagelight
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk._logs import LoggerProvider
    reader = InMemoryMetricReader()
    stagelight.configure(
        tracer_provider=TracerProvider(),
        meter_provider=MeterProvider([reader]),
        logger_provider=LoggerProvider(),
    )
    print(type(trace.get_tracer_provider()).__name__){WORK}
    stagelight.shutdown()
    work({{"id": 5}})
    data = reader.get_metrics_data()
    print(sum(
        point.count
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics if metric.name == "{DURATION}"
        for point in metric.data.data_points
    ))
    """
    assert export(program).stdout == "ProxyTracerProvider\n5\n"


def test_configuring_twice_is_harmless(receiver, export):
    """The second call finds everything set up, and nothing is sent twice."""
    export(PLAIN.replace("pipeline =", "stagelight.configure()\n    pipeline =", 1))
    assert counts(receiver) == {"success": 3, "failure": 1}
    assert len([span for span in receiver.spans() if span.name == "process work"]) == 4
    assert len(receiver.logs()) == 1


def test_flush_shutdown_and_after(receiver, export):
    """A flush sends everything; after shutdown calls still count, and go nowhere."""
    program = (
        PLAIN
        + """
    print(stagelight.force_flush())
    print(stagelight.force_flush(5))
    stagelight.shutdown()
    stagelight.shutdown()
    work({"id": 9})
    print(pipeline.stats()["stages"]["work"]["count"])
    """
    )
    assert export(program).stdout == "True\nTrue\n5\n"
    assert counts(receiver) == {"success": 3, "failure": 1}


def test_the_whole_document_agrees_after_a_flush(receiver, export):
    """What was printed and what was sent are the same numbers."""
    program = (
        PLAIN
        + """
    import json
    stagelight.force_flush()
    print(json.dumps(pipeline.stats()["stages"]["work"]["outcomes"]))
    """
    )
    assert json.loads(export(program).stdout) == counts(receiver)


def test_json_lines(export, receiver):
    """configure(json_logs=True) writes failed events to stderr as well."""
    program = PLAIN.replace('"orders")', '"orders", json_logs=True)', 1)
    result = run_program(program, env=receiver.environment("http/protobuf"))
    (line,) = result.stderr.splitlines()
    (log,) = receiver.logs()
    document = json.loads(line)
    assert document["attributes"] == log.attributes
    assert (document["trace_id"], document["span_id"]) == (log.trace_id, log.span_id)


def test_an_event_id_by_path(export, receiver):
    """configure(event_id=...) says where an event's identifier is."""
    program = PLAIN.replace('"orders")', '"orders", event_id="meta.key")', 1).replace(
        'work({"id": number})', 'work({"id": number, "meta": {"key": "k%d" % number}})'
    )
    export(program)
    (log,) = receiver.logs()
    assert log.attributes["stagelight.event.id"] == "k2"


REFUSED = [
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"}, "which is no URL of a coll"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://"}, "which is no URL of a collector"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:port"}, "which is no URL of a coll"),
    ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "ftp://h:1"}, "which is no URL of a coll"),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "it takes http/protobuf or grpc"),
    ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "x"}, "it takes http/protobuf or grpc"),
    ({"OTEL_METRIC_EXPORT_INTERVAL": "often"}, "it takes a number above 0"),
    ({"OTEL_BSP_MAX_QUEUE_SIZE": "0"}, "it takes a number above 0"),
    ({"OTEL_EXPORTER_OTLP_TIMEOUT": "-1"}, "it takes a number above 0"),
    ({"OTEL_TRACES_EXPORTER": "nowhere"}, "cannot be set up from the environment"),
    (
        {"STAGELIGHT_JOURNEYS_PER_SECOND": "fast"},
        'it takes a number from 0 up, or "all',
    ),
    ({"STAGELIGHT_TYPO": "1"}, "unknown key 'STAGELIGHT_TYPO'"),
]


@pytest.mark.parametrize(("env", "text"), REFUSED)
def test_an_environment_that_cannot_be_right(env, text):
    """Each is one clear error at once, which names the variable; nothing is set up."""
    program = """
    import stagelight
    from opentelemetry import metrics, trace
    try:
        stagelight.configure()
    except stagelight.ConfigurationError as error:
        print(error)
    print(type(trace.get_tracer_provider()).__name__)
    """
    result = run_program(program, env=env)
    said, provider = result.stdout.splitlines()
    assert (result.returncode, result.stderr) == (0, "")
    assert text in said
    ((name, value),) = env.items()
    assert name in said or value in said
    assert provider == "ProxyTracerProvider"


@pytest.mark.parametrize("value", ["-1", '"some"', "True", "1e9", 'float("nan")'])
def test_a_rate_that_cannot_be_right(value):
    """An argument is refused like a setting."""
    program = f"""
    import stagelight
    try:
        stagelight.configure(journeys_per_second={value})
    except stagelight.ConfigurationError as error:
        print(error)
    """
    said = run_program(program).stdout
    assert said.startswith("journeys_per_second is ")
    assert 'it takes a number from 0 to 1,000,000, or "all"' in said


def test_a_configuration_file_of_opentelemetry(receiver, tmp_path):
    """OTEL_CONFIG_FILE is followed, and nothing beside it is made."""
    path = tmp_path / "otel.yaml"
    path.write_text(
        f"""
file_format: "1.0"
resource:
  attributes:
    - name: service.name
      value: from-file
tracer_provider:
  processors:
    - simple:
        exporter:
          otlp_http:
            endpoint: {receiver.http_endpoint}/v1/traces
""",
        encoding="utf-8",
    )
    result = run_program(PLAIN, env={"OTEL_CONFIG_FILE": str(path)})
    assert (result.returncode, result.stderr) == (0, "")
    spans = [span for span in receiver.spans() if span.name == "process work"]
    assert len(spans) == 4
    assert {span.resource["service.name"] for span in spans} == {"from-file"}
