from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pytest

from harness import run_program
from harness.vendor import VendorServer
from harness.vendor_rules import RULES, SIGNALS, TOKEN, VALUES

PROGRAM = """
import queue

class Parse:
    def process(self, event):
        if event["id"] == 3:
            raise ValueError("an attribute of " + "x" * 5000)
        return event

class Store:
    def process(self, event):
        return event["id"]

waiting = queue.Queue()
for number in range(5):
    waiting.put({"id": number})
parse, store = Parse(), Store()
total = 0
while not waiting.empty():
    try:
        total += store.process(parse.process(waiting.get()))
    except ValueError:
        total += 100
print(total)
"""

#: A distribution that is no more than its entry points: what the cloud vendors' own
#: credential providers are.
PROVIDER = """
import requests

class Signed(requests.Session):
    def request(self, *args, headers=None, **kwargs):
        signed = {**self.headers, "authorization": "AWS4-HMAC-SHA256 signature"}
        return super().request(*args, headers={**(headers or {}), **signed}, **kwargs)

def session():
    return Signed()
"""
OVER_HTTP = [name for name in RULES if name != "google-cloud"]


@pytest.fixture
def printed(monkeypatch):
    """The environment that a shell has after it evaluated what the command printed."""

    def evaluate(name: str, *extra: str) -> dict[str, str]:
        args = ["vendor", name]
        for key, value in VALUES[name].items():
            args += ["--set", f"{key}={value}"]
        if name not in {"aws", "google-cloud"}:
            args += ["--token", "MY_TOKEN"]
        monkeypatch.setenv("MY_TOKEN", TOKEN)
        lines = subprocess.run(
            [sys.executable, "-m", "stagelight", *args, *extra],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        script = f"eval {shlex.quote(lines)}; env -0"
        shown = subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, check=True, env={}
        )
        pairs = (one.split("=", 1) for one in shown.stdout.split("\0") if one)
        return {key: value for key, value in pairs if key.startswith("OTEL_")}

    return evaluate


@pytest.fixture
def provider(tmp_path):
    """A folder that, on PYTHONPATH, offers a credential provider as packages do."""
    (tmp_path / "signing.py").write_text(PROVIDER, encoding="utf-8")
    info = tmp_path / "signing-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: signing\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_otlp_credential_provider]\nsigning = signing:session\n"
    )
    return str(tmp_path)


def run_into(server, lines, **more):
    """Run the program with a vendor's lines, led to the local server."""
    env = {
        key: server.lead(value) if key.endswith("ENDPOINT") else value
        for key, value in lines.items()
    }
    result = run_program(
        PROGRAM,
        env={**env, **more},
        prefix=("-m", "stagelight", "run"),
        timeout=60,
    )
    assert (result.returncode, result.stdout) == (0, "107\n"), result.stderr
    for secret in (TOKEN, "s3cr%2Bt", "MTIzNDU2OnMzY3IrdC90b2szbj09"):
        assert secret not in result.stderr
    return result


def signing(name, provider):
    """What AWS needs beside the lines, as its comment says."""
    if name != "aws":
        return {}
    return {
        "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "signing",
        "PYTHONPATH": provider,
    }


@pytest.mark.parametrize("name", OVER_HTTP)
def test_the_lines_do_what_the_vendor_asks_for(name, printed, provider):
    """A real program with the printed lines breaks no rule of the vendor's intake."""
    with VendorServer(RULES[name]) as server:
        result = run_into(server, printed(name), **signing(name, provider))
        assert server.violations == []
        assert all(server.accepted[signal] for signal in SIGNALS), result.stderr
        names = {span.name for span in server.intake.items["traces"]}
        assert {"process Parse", "process Store"} <= names
        [failed] = server.intake.items["logs"]
        assert failed.attributes["stagelight.event.id"] == "3"
    assert "cannot export" not in result.stderr


PREFIX = "OTEL_EXPORTER_OTLP_"
DELTA = f"{PREFIX}METRICS_TEMPORALITY_PREFERENCE"
HISTOGRAM = f"{PREFIX}METRICS_DEFAULT_HISTOGRAM_AGGREGATION"


@pytest.mark.parametrize(
    ("name", "change", "violation"),
    [
        (
            "grafana-cloud",
            (f"{PREFIX}HEADERS", "Authorization=Basic%20x"),
            "authorizat",
        ),
        ("grafana-cloud", (DELTA, "delta"), "is delta"),
        ("honeycomb", (f"{PREFIX}METRICS_HEADERS", ""), "x-honeycomb-dataset"),
        ("datadog", (DELTA, "cumulative"), "is cumulative"),
        (
            "datadog",
            (f"{PREFIX}LOGS_HEADERS", "dd-api-key=x"),
            "logs: header dd-api-key",
        ),
        ("new-relic", (HISTOGRAM, "explicit_bucket_histogram"), "is a histogram"),
        ("new-relic", (f"{PREFIX}COMPRESSION", "none"), "encoding identity"),
        ("new-relic", ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", ""), "is too long"),
        ("dynatrace", (DELTA, ""), "is cumulative"),
        ("elastic", (DELTA, "cumulative"), "is cumulative"),
        (
            "axiom",
            (f"{PREFIX}LOGS_HEADERS", "x-axiom-dataset=l"),
            "logs: header author",
        ),
        ("aws", (f"{PREFIX}LOGS_HEADERS", ""), "x-aws-log-group"),
        ("aws", (f"{PREFIX}COMPRESSION", "deflate"), "encoding deflate"),
    ],
)
def test_the_intake_refuses_other_lines(name, change, violation, printed, provider):
    """Each rule bites: with one line changed the same program is refused."""
    with VendorServer(RULES[name]) as server:
        lines = {**printed(name), change[0]: change[1]}
        result = run_into(server, lines, **signing(name, provider))
        assert any(violation in text for text in server.violations), server.violations
    assert "stagelight cannot export" in result.stderr


def test_aws_refuses_what_nobody_signed(printed):
    """Without what the comment names AWS refuses everything, and no signal arrives."""
    with VendorServer(RULES["aws"]) as server:
        run_into(server, printed("aws"))
        assert server.accepted == {}
        assert {text.split(":")[0] for text in server.violations} == set(SIGNALS)


@pytest.mark.parametrize("name", RULES)
def test_an_env_file_holds_the_same(name, printed, tmp_path):
    """With --env-file the lines have no export and no quotes, and the same values."""
    args = ["vendor", name, "--env-file"]
    for key, value in VALUES[name].items():
        args += ["--set", f"{key}={value}"]
    text = subprocess.run(
        [sys.executable, "-m", "stagelight", *args],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    pairs = dict(
        line.split("=", 1) for line in text.splitlines() if not line.startswith("#")
    )
    lines = printed(name)
    assert pairs.keys() == lines.keys()
    for key, value in pairs.items():
        if not re.search("TOKEN", value):
            assert json.dumps(value) == json.dumps(lines[key])
