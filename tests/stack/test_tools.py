"""`tools/stack`: starts what it says, passes on a command's end, leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from harness.backends import eventually
from realstack import ROOT, Unavailable, build, find, get, get_json

TOOL = ROOT / "tools" / "stack"


@pytest.fixture(scope="module", autouse=True)
def built():
    """Everything that the tool runs."""
    try:
        build("otelcol")
        build("jaeger")
        find("prometheus")
        find("alertmanager")
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_and_stops(tmp_path, number):
    """It prints where everything is, all of it answers, and a signal ends all of it."""
    command = [sys.executable, str(TOOL), "--free-ports", "--data", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        text = "".join(lines)
        urls = dict(re.findall(r"^(\w+) +(http://[0-9.:]+)", text, re.MULTILINE))
        assert set(urls) == {"OTLP", "Jaeger", "Prometheus", "Alertmanager"}
        assert f"export OTEL_EXPORTER_OTLP_ENDPOINT={urls['OTLP']}" in text
        assert "services" in get_json(f"{urls['Jaeger']}/api/v3/services")
        get(f"{urls['Prometheus']}/-/ready")
        get(f"{urls['Alertmanager']}/-/ready")
        servers = psutil.Process(process.pid).children(recursive=True)
        assert len(servers) == 4
        process.send_signal(number)
        assert process.wait(120) == 130
    assert not any(server.is_running() for server in servers)
    assert (tmp_path / "collector.log").exists()


def test_runs_a_command():
    """A command runs with the endpoint set; its status is the tool's, all ends."""
    source = (
        "import os, sys; print(os.environ['OTEL_EXPORTER_OTLP_ENDPOINT']); sys.exit(3)"
    )
    done = subprocess.run(
        [sys.executable, str(TOOL), "--free-ports", "--", sys.executable, "-c", source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stdout.splitlines()[-1].startswith("http://127.0.0.1:")


def test_taken_port(tmp_path):
    """A default port that is taken is named, before anything is started."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", 9093))
            holder.listen()
        except OSError:
            pass  # somebody has it: as good
        done = subprocess.run(
            [sys.executable, str(TOOL), "--data", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "9093" in done.stderr
    assert "--free-ports" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_build_is_cached():
    """What is built already is named at once."""
    done = subprocess.run(
        [sys.executable, str(TOOL), "--build"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert str(build("otelcol")) in done.stdout


def test_no_go(tmp_path):
    """Without a Go compiler and a cache it says what is missing."""
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PATH": "/nowhere"}
    done = subprocess.run(
        [sys.executable, str(TOOL), "--build"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no Go compiler" in done.stderr
    assert eventually(lambda: not list(tmp_path.rglob("otelcol")))
