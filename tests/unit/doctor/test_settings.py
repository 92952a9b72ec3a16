from __future__ import annotations

import os

import pytest

from stagelight import _doctor
from stagelight._doctor import _settings
from stagelight._doctor._findings import Report
from stagelight._doctor._settings import targets

OTLP = "OTEL_EXPORTER_OTLP_"


@pytest.fixture
def env(monkeypatch):
    """Set variables, in an environment that has none of OpenTelemetry's."""
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)

    def set_(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return os.environ

    return set_


def findings(environment):
    """Status, text and advice of everything that the settings give."""
    report = Report()
    _settings.check(report, environment)
    return [(one.status, one.text, one.change) for one in report.findings]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ["http/protobuf http://localhost:4318/v1/traces"] * 1),
        (
            {f"{OTLP}ENDPOINT": "http://c:4317"},
            ["grpc http://c:4317"],
        ),
        (
            {f"{OTLP}ENDPOINT": "http://c:4318/base/"},
            ["http/protobuf http://c:4318/base/v1/traces"],
        ),
        (
            {f"{OTLP}TRACES_ENDPOINT": "https://v/own"},
            ["http/protobuf https://v/own"],
        ),
        (
            {f"{OTLP}ENDPOINT": "c:4317", f"{OTLP}PROTOCOL": "grpc"},
            ["grpc https://c:4317"],
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp_proto_grpc"},
            ["grpc http://localhost:4317"],
        ),
    ],
)
def test_where_traces_go(env, values, expected):
    """Protocol and address are as the SDK and our defaults make them."""
    target = targets(env(**values))[0]
    assert [f"{target.protocol} {target.endpoint}"] == expected


def test_each_signal_may_go_elsewhere(env):
    """Signals with one place are told together, others apart."""
    given = env(
        **{
            f"{OTLP}ENDPOINT": "http://c:4318",
            f"{OTLP}LOGS_ENDPOINT": "http://loki:3100/otlp/v1/logs",
            "OTEL_METRICS_EXPORTER": "none",
        }
    )
    assert findings(given) == [
        ("skipped", "metrics are switched off by OTEL_METRICS_EXPORTER=none", ""),
        ("ok", "traces to http://c:4318 by http/protobuf", ""),
        ("ok", "logs to http://loki:3100/otlp by http/protobuf", ""),
    ]


@pytest.mark.parametrize(
    ("values", "text", "change"),
    [
        (
            {f"{OTLP}ENDPOINT": "http://c:4318", f"{OTLP}PROTOCOL": "grpc"},
            "traces by grpc to 4318, port of http/protobuf",
            f"set {OTLP}PROTOCOL=http/protobuf, or the port 4317 in {OTLP}ENDPOINT",
        ),
        (
            {f"{OTLP}ENDPOINT": "http://c:4317", f"{OTLP}PROTOCOL": "http/protobuf"},
            "traces by http/protobuf to 4317, port of grpc",
            f"set {OTLP}PROTOCOL=grpc, or the port 4318 in {OTLP}ENDPOINT",
        ),
        (
            {f"{OTLP}TRACES_ENDPOINT": "http://c:4318"},
            (
                f"{OTLP}TRACES_ENDPOINT is used as it is, and http://c:4318 has no "
                "such path"
            ),
            "append /v1/traces to it",
        ),
        (
            {f"{OTLP}ENDPOINT": "http://c:4318/v1/traces"},
            (
                f"{OTLP}ENDPOINT has a signal's path, and gets another: "
                "http://c:4318/v1/traces/v1/traces"
            ),
            f"end {OTLP}ENDPOINT before /v1/",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "console"},
            "traces go to exporter 'console', not over OTLP",
            "set OTEL_TRACES_EXPORTER=otlp",
        ),
        (
            {"OTEL_TRACES_SAMPLER": "parentbased_always_off"},
            "OTEL_TRACES_SAMPLER is parentbased_always_off: no program sends a trace",
            "unset OTEL_TRACES_SAMPLER",
        ),
    ],
)
def test_what_cannot_be_meant(env, values, text, change):
    """Each doubt is a warning that says what to write instead."""
    assert ("warning", text, change) in findings(env(**values))


def test_a_disabled_sdk_is_a_failure(env):
    """Nothing works where the SDK is switched off."""
    [first, *_] = findings(env(OTEL_SDK_DISABLED="true"))
    assert first[0] == "failed"


def test_a_configuration_file_decides_all(env):
    """Where a file decides, the variables are not judged."""
    [only] = findings(
        env(OTEL_CONFIG_FILE="otel.yaml", OTEL_TRACES_SAMPLER="always_off")
    )
    assert only[0] == "warning"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("delta", True), ("LowMemory", True), ("cumulative", False), ("", False)],
)
def test_differences(value, expected):
    """Both preferences that send differences count."""
    name = f"{OTLP}METRICS_TEMPORALITY_PREFERENCE"
    assert _settings.delta_wanted({name: value}) is expected


def test_backends_are_looked_for_beside_the_collector(env):
    """By default they are on the collector's host, and none behind a vendor."""
    given = dict.fromkeys(("jaeger", "prometheus", "collector", "loki"))
    env(**{f"{OTLP}ENDPOINT": "http://obs.internal:4318"})
    found = _doctor.addresses({**given, "prometheus": "http://p:9/", "loki": "none"})
    assert found.jaeger == "http://obs.internal:16686"
    assert found.prometheus == "http://p:9"
    assert found.collector == "http://obs.internal:8888/metrics"
    assert found.loki == ""
    assert found.given == found.sure == {"prometheus", "loki"}
    env(**{f"{OTLP}ENDPOINT": "http://localhost:4318"})
    found = _doctor.addresses(given)
    assert found.jaeger == "http://127.0.0.1:16686"
    assert {"jaeger", "prometheus"} <= found.sure
    env(**{f"{OTLP}ENDPOINT": "https://api.honeycomb.io"})
    found = _doctor.addresses(given)
    assert (found.jaeger, found.prometheus, found.collector) == ("", "", "")
