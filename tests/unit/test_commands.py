from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness.command import run_command

COMMANDS = (
    *("doctor", "failures", "grafana", "probe", "replay", "rules", "run", "serve"),
    *("stats", "tap", "top", "vendor"),
)

LOADED = """
import json, sys
from stagelight.cli import main
sys.argv = ["stagelight", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit:
    pass
print(json.dumps([name for name in sys.modules]))
"""


def test_help_lists_every_command():
    """Each command has a line of its own."""
    done = run_command("--help")
    assert done.returncode == 0
    listed = done.stdout.partition("Commands:")[2].splitlines()
    assert [line.split()[0] for line in listed if line.strip()] == list(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["vendor", "aws"], ("opentelemetry.sdk", "rich", "stagelight._doctor")),
        (["grafana"], ("opentelemetry.sdk", "rich", "stagelight._doctor")),
        (["doctor", "--help"], ("opentelemetry.sdk", "rich", "stagelight._grafana")),
    ],
)
def test_a_command_loads_its_own_only(arguments, absent):
    """A command that prints text loads neither the SDK nor the other commands."""
    shown = subprocess.run(
        [sys.executable, "-c", LOADED, json.dumps(arguments)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    modules = json.loads(shown.splitlines()[-1])
    assert [name for name in modules if name.startswith(absent)] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["vendor"],
        ["vendor", "nobody"],
        ["vendor", "aws", "--token", "X"],
        ["vendor", "datadog", "--set", "site"],
        ["vendor", "datadog", "--set", "zone=eu"],
        ["vendor", "datadog", "--token", "NOT_SET_ANYWHERE"],
        ["doctor", "--jaeger", "localhost:16686"],
        ["doctor", "--timeout", "0"],
        ["grafana", "more"],
        ["unknown"],
    ],
)
def test_wrong_use_exits_with_2(arguments):
    """A command that is called wrongly says so on stderr, and nothing on stdout."""
    done = run_command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_a_wrong_environment_is_wrong_use():
    """The doctor refuses what `configure()` refuses."""
    env = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}
    done = run_command("doctor", env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert "OTEL_EXPORTER_OTLP_PROTOCOL is 'http/json'" in done.stderr
