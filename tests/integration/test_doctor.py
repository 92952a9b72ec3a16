"""The doctor against servers that behave badly; the real ones are in tests/stack."""

from __future__ import annotations

import time

import pytest

from harness import OtlpReceiver
from harness.command import diagnose

NO_BACKENDS = [
    word
    for name in ("jaeger", "prometheus", "collector")
    for word in (f"--{name}", "none")
]


@pytest.fixture(scope="module")
def receiver():
    """An intake of our own."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def _recovered(receiver):
    receiver.recover()
    receiver.clear()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_what_is_sent(receiver, protocol):
    """Two journeys of one stage and one log record, under the doctor's own name."""
    found = diagnose(*NO_BACKENDS, env=receiver.environment(protocol))
    assert (found.code, found.statuses()["export"]) == (0, "ok"), found.text
    names = sorted(span.name for span in receiver.spans())
    assert names == ["ingest doctor"] * 2 + ["process probe"] * 2
    [record] = receiver.logs()
    assert record.event_name == "stagelight.doctor.probe"
    assert record.trace_id in {span.trace_id for span in receiver.spans()}
    [point] = receiver.last("stagelight.stage.consumed.events")
    assert (point.value, point.resource["service.name"]) == (2, "stagelight-doctor")


def test_an_intake_that_never_answers(receiver):
    """The doctor's time is bounded, and it says which signals had no answer."""
    receiver.hang(120)
    began = time.monotonic()
    found = diagnose(*NO_BACKENDS, env=receiver.environment("http/protobuf"))
    assert time.monotonic() - began < 45
    assert found.code == 1
    assert found.statuses()["export"] == "failed"


def test_one_signal_that_is_refused(receiver):
    """Each signal is judged by itself: those that get out are taken."""
    env = {
        **receiver.environment("http/protobuf"),
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{receiver.http_endpoint}/logs",
    }
    found = diagnose(*NO_BACKENDS, env=env)
    assert found.code == 1
    assert [status for status, _ in found.of("export")] == ["ok", "failed"]
    assert found.of("export")[0][1].startswith("traces, metrics are taken by")
    assert "append /v1/logs to it" in found.advice("settings")


def test_signals_that_are_switched_off(receiver):
    """What the settings switch off is no failure."""
    env = {
        **receiver.environment("grpc"),
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
    }
    found = diagnose(*NO_BACKENDS, env=env)
    assert found.code == 0, found.text
    [(status, text)] = found.of("export")
    assert status == "ok"
    assert text.startswith("traces are taken")


def test_a_configuration_file(receiver, tmp_path):
    """Where OTEL_CONFIG_FILE decides, the probe goes where the file says."""
    path = tmp_path / "otel.yaml"
    url = receiver.http_endpoint
    path.write_text(
        f"""
file_format: "1.0"
tracer_provider:
  processors:
    - batch: {{exporter: {{otlp_http: {{endpoint: "{url}/v1/traces"}}}}}}
meter_provider:
  readers:
    - periodic: {{exporter: {{otlp_http: {{endpoint: "{url}/v1/metrics"}}}}}}
logger_provider:
  processors:
    - batch: {{exporter: {{otlp_http: {{endpoint: "{url}/v1/logs"}}}}}}
"""
    )
    found = diagnose(*NO_BACKENDS, env={"OTEL_CONFIG_FILE": str(path)})
    assert "OTEL_CONFIG_FILE decides everything" in found.of("settings")[0][1]
    assert found.code == 0, found.text
    assert {signal for signal, _ in receiver.accepted} == {"traces", "metrics", "logs"}
