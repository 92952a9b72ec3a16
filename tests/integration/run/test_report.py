"""The command line: its table and document, its options, and what it refuses."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness import Completed, OtlpReceiver, run_program
from stagelight import __version__

if TYPE_CHECKING:
    from pathlib import Path

RUN = ("-m", "stagelight", "run")
FAILED = "stagelight.stage.process.exception"
PROGRAM = """
import queue, sys, threading
from concurrent.futures import ThreadPoolExecutor

class Parser:
    def process(self, event):
        if event["id"] % 4 == 3:
            raise ValueError(event)
        return event

def load(event):
    return event

def main():
    jobs = queue.Queue(5)
    parser, pool = Parser(), ThreadPoolExecutor(2, thread_name_prefix="loaders")
    def work():
        while (event := jobs.get()) is not None:
            try:
                pool.submit(load, parser.process(event))
            except ValueError:
                pass
    thread = threading.Thread(target=work)
    thread.start()
    for number in range(20):
        jobs.put({"id": number})
    jobs.put(None)
    thread.join()
    pool.shutdown()
    print("done", *sys.argv[1:])

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The program as a file in a folder of its own."""
    path = tmp_path / "shop.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


def rows(text: str) -> dict[str, list[str]]:
    """First row of each name in the tables, as the columns behind it."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, *columns = re.split(r"\s{2,}", line.strip())
        found.setdefault(name, columns)
    return found


def test_the_table(script):
    """Stages, queues, pools, failures and the way of the telemetry, on stderr."""
    done = run_program(script, "--flag", "x", prefix=RUN)
    assert (done.returncode, done.stdout) == (0, "done --flag x\n")
    found = rows(done.stderr)
    assert found["stagelight"][0] == "shop"
    assert re.fullmatch(r"\d+\.\d s", found["stagelight"][1])
    count, rate, *spent, errors, active, busy = found["Parser"]
    assert (count, errors, active) == ("20", "5", "0")
    assert float(rate.replace(",", "")) > 0
    assert all(re.fullmatch(r"[\d.]+ (us|ms|s)", one) for one in spent)
    assert busy.endswith("%")
    assert found["loaders"][0] == "15"  # its tasks as a stage
    assert re.search(r"(?m)^loaders +0 .* 0/2 *$", done.stderr)  # its backlog
    assert found["jobs"][0] in {"0/5", "-/5"}
    (failed,) = re.findall(r"Parser +ValueError +(\d+) +(.*)", done.stderr)
    assert (failed[0], failed[1].strip()) == ("5", "3, 7, 11, 15, 19")
    assert "stayed here; set OTEL_EXPORTER_OTLP_ENDPOINT to export it" in done.stderr


def test_the_document(script, tmp_path):
    """--json writes the final state and all failures, whole, beside the table."""
    path = tmp_path / "out" / "end.json"
    path.parent.mkdir()
    done = run_program(script, prefix=(*RUN, "--json", str(path)))
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    pipeline = document["pipelines"]["shop"]
    assert pipeline["stages"]["Parser"]["outcomes"] == {"success": 15, "failure": 5}
    assert pipeline["queues"]["jobs"]["dequeued"] == 21
    assert pipeline["pools"]["loaders"]["completed"] == 15
    assert document["failures"] == [
        {
            "pipeline": "shop",
            "stage": "Parser",
            "error_type": "ValueError",
            "count": 5,
            "events": ["3", "7", "11", "15", "19"],
        }
    ]
    assert (document["version"], document["process"]["telemetry_errors"]) == (2, {})
    assert "Parser" in done.stderr
    assert [one.name for one in path.parent.iterdir()] == ["end.json"]


def test_no_table(script, tmp_path):
    """--no-table leaves stderr to the program; the document is still written."""
    path = tmp_path / "end.json"
    done = run_program(script, prefix=(*RUN, "--no-table", "--json", str(path)))
    assert (done.stdout, done.stderr) == ("done\n", "")
    assert json.loads(path.read_text(encoding="utf-8"))["pipelines"]


def test_a_name_and_more_stages(script):
    """--name names the pipeline, --stage observes functions of the script."""
    options = ("--name", "orders", "--stage", "shop:load=loading")
    done = run_program(script, prefix=(*RUN, *options))
    found = rows(done.stderr)
    assert found["stagelight"][0] == "orders"
    assert found["loading"][0] == "15"


def test_settings_of_a_file(script, tmp_path):
    """stagelight.toml beside the program holds for it; options go before."""
    (tmp_path / "stagelight.toml").write_text(
        'pipeline = "file"\nstages = ["shop:load"]\nqueues = ["!jobs"]\n'
    )
    done = run_program(script, prefix=RUN, cwd=tmp_path)
    found = rows(done.stderr)
    assert found["stagelight"][0] == "file"
    assert found["load"][0] == "15"
    assert "jobs" not in found
    done = run_program(script, prefix=(*RUN, "--name", "option"), cwd=tmp_path)
    assert rows(done.stderr)["stagelight"][0] == "option"


def test_json_lines(script):
    """--json-logs writes each failed event as a line of JSON as it happens."""
    done = run_program(script, prefix=(*RUN, "--no-table", "--json-logs"))
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    identifiers = [
        line["attributes"]["stagelight.event.id"]
        for line in lines
        if line["event_name"] == FAILED
    ]
    assert identifiers == ["3", "7", "11", "15", "19"]


def test_exporting_as_well(script):
    """With an endpoint everything goes there, under the program's name."""
    with OtlpReceiver() as receiver:
        done = run_program(script, prefix=RUN, env=receiver.environment("grpc"))
        assert f"went to {receiver.grpc_endpoint}" in done.stderr
        consumed = receiver.last(
            "stagelight.stage.consumed.events", **{"stagelight.stage.name": "Parser"}
        )
        assert sum(int(point.value or 0) for point in consumed) == 20
        assert {point.resource["service.name"] for point in consumed} == {"shop"}
        assert [log.event_name for log in receiver.logs()].count(FAILED) == 5
        names = {span.name for span in receiver.spans()}
    assert names >= {"ingest shop", "process Parser"}


def test_the_launcher_of_opentelemetry(script, tmp_path):
    """opentelemetry-instrument finds us by the entry point, and gives the same."""
    with OtlpReceiver() as receiver:
        env = {**receiver.environment("http/protobuf"), "OTEL_SERVICE_NAME": "shop"}
        launcher = "from opentelemetry.instrumentation.auto_instrumentation import run"
        done = run_program(
            script,
            prefix=("-c", f"{launcher}; run()", sys.executable),
            env=env,
            cwd=tmp_path,
        )
        assert (done.returncode, done.stdout) == (0, "done\n")
        consumed = receiver.last(
            "stagelight.stage.consumed.events", **{"stagelight.stage.name": "Parser"}
        )
        assert sum(int(point.value or 0) for point in consumed) == 20
        assert [log.event_name for log in receiver.logs()].count(FAILED) == 5
        assert {span.name for span in receiver.spans()} >= {"process Parser"}


def test_nothing_to_observe():
    """A program without any stage is told how to declare one."""
    done = run_program("print('hello')", prefix=RUN)
    assert done.stdout == "hello\n"
    assert "Nothing was observed: the program made no queue" in done.stderr


def test_a_stage_that_was_not_found(script):
    """A misspelt pattern is one warning with the nearest name; the program goes on."""
    done = run_program(script, prefix=(*RUN, "--stage", "shop:lod"))
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "the pattern shop:lod matched nothing; nearest are shop:load" in done.stderr


def test_a_program_that_fails(tmp_path):
    """Its traceback, its status, and the table all the same."""
    program = PROGRAM.replace('print("done", *sys.argv[1:])', "raise KeyError('end')")
    path = tmp_path / "end.json"
    done = run_program(program, prefix=(*RUN, "--json", str(path)))
    assert done.returncode == 1
    assert "KeyError: 'end'" in done.stderr
    assert "Parser" in done.stderr
    assert json.loads(path.read_text(encoding="utf-8"))["failures"][0]["count"] == 5


def command(*arguments: str) -> Completed:
    """Run ``stagelight`` with arguments, as its script does."""
    return run_program("from stagelight.cli import main\nmain()", *arguments)


def test_help_and_version():
    """Every command says what it does, and nothing is run for it."""
    for option in ("--help", "-h"):
        done = command(option)
        assert done.returncode == 0
        assert done.stdout.startswith("Usage: stagelight [OPTIONS] COMMAND [ARGS]...")
        assert "See every stage of a Python pipeline." in done.stdout
    assert command("--version").stdout == f"stagelight {__version__}\n"
    text = command("run", "--help").stdout
    for option in ("-m", "--stage PATTERN", "--name", "--json FILE", "--no-table"):
        assert option in text
    assert "Run an unmodified PROGRAM and see every stage of it." in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run",), "Missing argument 'PROGRAM'"),
        (("fly",), "No such command 'fly'"),
        (("run", "--stage", "no pattern", "x.py"), "--stage: 'no pattern' is no patt"),
        (("run", "--name", "x" * 65, "x.py"), "64"),
        (
            ("run", "--json", "/no/such/folder/x", "x.py"),
            "there is no folder '/no/such",
        ),
    ],
)
def test_a_command_line_that_cannot_be_right(arguments, message):
    """One clear error before anything runs, with status 2."""
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"STAGELIGHT_TYPO": "1"}, "unknown key 'STAGELIGHT_TYPO'"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "nowhere"}, "no URL of a collector"),
        ({"STAGELIGHT_STAGES": "x"}, "STAGELIGHT_STAGES: 'x' is no pattern"),
    ],
)
def test_settings_that_cannot_be_right(script, env, message):
    """So is a wrong variable: the program is not started on a wrong premise."""
    done = run_program(script, prefix=RUN, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
