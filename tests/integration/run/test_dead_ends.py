"""Endpoints that refuse, hang or complain: bounded time, one warning, a true count."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import TYPE_CHECKING

import pytest

from harness import OtlpReceiver, run_program
from harness.timing import least

if TYPE_CHECKING:
    from pathlib import Path

RUN = ("-m", "stagelight", "run")
#: A program whose own logging goes to stdout, and disables every logger before it.
PROGRAM = """
import logging.config
logging.config.dictConfig({
    "version": 1,
    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
    "root": {"handlers": ["out"], "level": "DEBUG"},
})
class Stage:
    def process(self, number):
        if number == 7:
            raise ValueError(number)
stage = Stage()
for number in range(10):
    try:
        stage.process(number)
    except ValueError:
        logging.info("failed")
"""
PROTOCOLS = ("http/protobuf", "grpc")


def lost(text: str) -> int:
    """How many items the table says were lost."""
    found = re.search(r"; ([\d,]+) items were lost", text)
    return int(found[1].replace(",", "")) if found else 0


def exported(silent: socket.socket, protocol: str, *options: str) -> tuple[str, float]:
    """Stderr of the program, and its seconds, with an endpoint that is of no use."""
    started = time.monotonic()
    done = run_program(
        PROGRAM,
        prefix=(*RUN, *options),
        env={
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        },
    )
    took = time.monotonic() - started
    assert (done.returncode, done.stdout) == (0, "failed\n")
    assert done.stderr.count("stagelight cannot export") == 1
    return done.stderr, took


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_listens(protocol: str) -> None:
    """The program's output stays its own, ours is one warning and a true count."""

    def run() -> float:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))  # and it never listens
            told, took = exported(silent, protocol)
        assert re.search("refused|UNAVAILABLE", told)
        # Ten roots and ten spans, one log record, one collection of metrics.
        assert lost(told) == 22
        return took

    assert least(run, 4) < 4


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_endpoint_hangs(protocol: str, tmp_path: Path) -> None:
    """The exit waits five seconds, not ten; all is told as lost, times stay true."""
    document = tmp_path / "end.json"

    def run() -> float:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            told, took = exported(silent, protocol, "--json", str(document))
        assert lost(told) == 22
        process = json.loads(document.read_text(encoding="utf-8"))["process"]
        assert process["uptime"] < took - 4  # without the wait
        assert process["telemetry_dropped"] == {"traces": 20, "logs": 1, "metrics": 1}
        return took

    assert 4 < least(run, 8) < 8


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_lost_where_all_arrives(protocol: str) -> None:
    """What the SDK collects once more as it shuts down is no loss."""
    with OtlpReceiver() as receiver:
        done = run_program(PROGRAM, prefix=RUN, env=receiver.environment(protocol))
        assert len(receiver.spans()) == 20
        assert len(receiver.logs()) == 1
    assert lost(done.stderr) == 0
    assert "lost" not in done.stderr
    assert "cannot" not in done.stderr


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_exporting_writes_nothing_to_the_programs_log(protocol: str) -> None:
    """A program that logs all there is does not log how we send telemetry."""
    program = """
        import logging, sys
        logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
        class Stage:
            def process(self, event):
                return event
        Stage().process(1)
        logging.debug("done")
    """
    with OtlpReceiver() as receiver:
        done = run_program(
            program, prefix=(*RUN, "--no-table"), env=receiver.environment(protocol)
        )
        assert len(receiver.spans()) == 2
    assert (done.stdout, done.stderr) == ("DEBUG:root:done\n", "")


def test_json_lines_survive_the_programs_logging() -> None:
    """Who asks for JSON lines gets them, whatever loggers the program disables."""
    done = run_program(PROGRAM, prefix=(*RUN, "--no-table", "--json-logs"))
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["attributes"]["error.type"] == "ValueError"
    assert done.stdout == "failed\n"


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (
            {
                "OTEL_SDK_DISABLED": "true",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            },
            "went nowhere, for OTEL_SDK_DISABLED is true",
        ),
        (
            dict.fromkeys(
                (f"OTEL_{one}_EXPORTER" for one in ("TRACES", "METRICS", "LOGS")),
                "none",
            ),
            "went to nowhere",
        ),
    ],
)
def test_the_table_says_where_telemetry_went(
    environment: dict[str, str], told: str
) -> None:
    """What the environment switches off is not said to have gone anywhere."""
    done = run_program(PROGRAM, prefix=RUN, env=environment)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == f"telemetry   {told}"


@pytest.mark.parametrize(
    "endpoint", ["http:// host", "http://ho st:4318", "localhost:4318"]
)
def test_an_endpoint_that_cannot_be_one(endpoint: str) -> None:
    """It is an error before the program starts, which names the variable."""
    done = run_program(
        PROGRAM, prefix=RUN, env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"Error: OTEL_EXPORTER_OTLP_ENDPOINT is {endpoint!r}, which is no URL"
    )
