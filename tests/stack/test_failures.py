"""Failed events in the real stack: store, log records and Jaeger say the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import run_program
from harness.backends import eventually
from harness.command import run_command

EXAMPLE = Path(__file__).parents[2] / "examples" / "index_sources.py"
GOOD, UNDECODABLE, BROKEN = 30, 4, 3


@pytest.mark.parametrize("journeys", ["50", "0"])
def test_the_store_agrees_with_logs_and_traces(
    stack, jaeger, log_backend, tmp_path, journeys
):
    """Each failed event has one trace and span, wherever it is looked at; so a replay.

    With head sampling, and without: then each trace is one that was rescued.
    """
    sources = tmp_path / "sources"
    sources.mkdir()
    for number in range(GOOD):
        (sources / f"good_{number:03}.py").write_text(f"value = {number}\n")
    for number in range(UNDECODABLE):
        (sources / f"latin_{number}.py").write_bytes(b"name = 'caf\xe9'\n")
    for number in range(BROKEN):
        (sources / f"broken_{number}.py").write_text("def broken(:\n")
    service = f"kept-{journeys}"
    folder = str(tmp_path / "kept")
    env = {
        "OTEL_SERVICE_NAME": service,
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_url,
        "STAGELIGHT_JOURNEYS_PER_SECOND": journeys,
    }
    prefix = ("-m", "stagelight", "run", "--no-table", "--capture", folder)
    done = run_program(EXAMPLE, str(sources), env=env, prefix=prefix)
    assert done.returncode == 0, done.stderr
    listed = run_command("failures", "list", "--folder", folder, "--json")
    kept = {
        one["event_id"]: (one["stage"], one["trace_id"], one["span_id"])
        for one in json.loads(listed.stdout)
    }
    assert len(kept) == UNDECODABLE + BROKEN
    assert len({trace for _, trace, _ in kept.values()}) == len(kept)

    def records():
        return {
            log.attributes["stagelight.event.id"]: (
                log.attributes["stagelight.stage.name"],
                log.trace_id,
                log.span_id,
            )
            for log in log_backend.logs()
            if log.resource.get("service.name") == service
            and log.event_name == "stagelight.stage.process.exception"
        }

    eventually(lambda: len(records()) >= len(kept))
    assert records() == kept
    for event_id, (stage, trace, span_id) in kept.items():
        spans = eventually(lambda trace=trace: jaeger.trace(trace))
        (span,) = [one for one in spans if one.span_id == span_id]
        assert span.failed
        assert span.name == f"process {stage}"
        assert span.attributes["stagelight.event.id"] == event_id

    number = json.loads(listed.stdout)[0]["id"]
    again = run_command(
        *("replay", str(number), "--folder", folder, "--json"),
        env={key: value for key, value in env.items() if key.startswith("OTEL_")},
    )
    (made,) = json.loads(again.stdout)
    assert made["result"] == "same failure", again
    spans = eventually(lambda: jaeger.trace(made["trace_id"]))
    (span,) = [one for one in spans if one.span_id == made["span_id"]]
    assert span.name.startswith("replay ")
    assert span.attributes["stagelight.replay.result"] == "same failure"
