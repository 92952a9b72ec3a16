from __future__ import annotations

import json
import os
import pty
import queue
import re
import select
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import stagelight
from harness import run_program, start_program
from harness.asking import Client
from harness.backends import eventually
from stagelight._registry import REGISTRY
from stagelight.health._monitor import MONITOR, Monitor

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A program with a slow stage behind a queue.
PROGRAM = """
import queue, threading, time

class Slow:
    def process(self, event):
        time.sleep(0.02)
        return event

jobs = queue.Queue(8)
slow = Slow()

def work():
    while (event := jobs.get()) is not None:
        slow.process(event)

threading.Thread(target=work, daemon=True).start()
for number in range(100_000):
    jobs.put({"id": number, "password": "hunter2"})
"""


def command(*arguments: str, **kwargs) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "stagelight", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        **kwargs,
    )


@pytest.fixture
def server() -> Iterator[stagelight.Server]:
    """A pipeline that runs, served with its tap allowed."""
    before = dict(REGISTRY.pipelines)
    REGISTRY.pipelines.clear()
    MONITOR.__dict__.update(Monitor().__dict__)
    pipeline = stagelight.Pipeline("shop")
    jobs = pipeline.queue(queue.Queue(5), "jobs")
    slow = pipeline.stage(lambda event: time.sleep(0.01), name="slow")
    quick = pipeline.stage(lambda event: event, name="quick")
    over = threading.Event()

    def feed() -> None:
        while not over.is_set():
            jobs.put(quick({"id": 1, "token": "s3cr3t"}))

    def work() -> None:
        while not over.is_set():
            slow(jobs.get())

    threads = [threading.Thread(target=one, daemon=True) for one in (feed, work)]
    for thread in threads:
        thread.start()
    with stagelight.serve("127.0.0.1:0", tap=True) as running:
        yield running
    over.set()
    jobs.get()
    for thread in threads:
        thread.join(5)
    REGISTRY.pipelines.clear()
    REGISTRY.pipelines.update(before)


def test_stats_prints_the_document(server) -> None:
    """The same JSON as at /stats."""
    result = command("stats", server.url)
    assert (result.returncode, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert set(document["pipelines"]["shop"]["stages"]) == {"slow", "quick"}


def test_tap_prints_samples_without_secrets(server) -> None:
    """One JSON line for each sampled event, until it is ended."""
    with subprocess.Popen(
        [
            sys.executable,
            *["-m", "stagelight", "tap", "--limit", "3", "--interval", "0.3"],
            server.url,
            "q*",
        ],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        lines = [json.loads(process.stdout.readline()) for _ in range(4)]
        process.terminate()
    assert lines[3]["shown"] == 3
    assert lines[3]["seen"] >= 3
    for line in lines[:3]:
        assert line["stage"] == "quick"
        assert line["in"] == line["out"] == {"id": 1, "token": "[redacted]"}


def test_top_prints_once_where_there_is_no_terminal(server) -> None:
    """Stages, queue and bottleneck as a table, sorted as asked for."""

    def shown() -> str:
        result = command("top", server.url, "--sort", "busy")
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout

    time.sleep(2)
    # Until so much is known that it can be told.
    text = eventually(lambda: text if "bottleneck slow" in (text := shown()) else "")
    lines = text.splitlines()
    head = next(line for line in lines if line.startswith("stage"))
    for column in ("per s", "in", "out", "errors", "wait p95", "oldest", "idle▾"):
        assert column in head
    rows = [line.split()[1] for line in lines if line.startswith(("▶", "●"))]
    assert rows == ["slow", "quick"]
    assert any("bottleneck slow" in line for line in lines)
    assert any(line.startswith("jobs") and "/5" in line for line in lines)


@contextmanager
def terminal(*arguments: str, size=(30, 150)):
    """A command in a real terminal: write keys, read what is on it."""
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "", "LINES": ""}
    env.pop("COLUMNS")
    env.pop("LINES")
    process = subprocess.Popen(
        [sys.executable, "-m", "stagelight", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=env,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield process, master
    finally:
        process.kill()
        process.wait()
        os.close(master)


def read_until(master: int, wanted: str, seconds: float = 60.0) -> str:
    """What the terminal got, up to some words."""
    text, deadline = "", time.monotonic() + seconds
    while time.monotonic() < deadline:
        ready, _, _ = select.select([master], [], [], 0.2)
        if ready:
            try:
                text += os.read(master, 65_536).decode("utf-8", "replace")
            except OSError:
                break
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
        if wanted in plain:
            return plain
    raise AssertionError(f"{wanted!r} did not come: {text[-2000:]!r}")


def test_top_runs_in_a_real_terminal(server) -> None:
    """It takes the whole screen, sorts by keys, and leaves all as it was."""
    with terminal("top", server.url, "--interval", "0.3") as (process, master):
        text = read_until(master, "q quit")
        assert "slow" in text
        assert "jobs" in text
        os.write(master, b"s")
        read_until(master, "stage▾")
        os.write(master, b"p")
        read_until(master, "paused")
        os.write(master, b"q")
        assert process.wait(60) == 0


def test_top_goes_on_when_the_program_is_gone(server) -> None:
    """The last numbers stay, with a line that says what is wrong."""
    with terminal("top", server.url, "--interval", "0.2") as (process, master):
        read_until(master, "q quit")
        server.close()
        read_until(master, "is a program with stagelight running")
        os.write(master, b"q")
        assert process.wait(60) == 0


@pytest.mark.parametrize("name", ["stats", "top"])
def test_nobody_there_is_told(name) -> None:
    """Exit code 2, and what may be the matter."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and it never listens
        result = command(name, f"127.0.0.1:{silent.getsockname()[1]}")
    assert result.returncode == 2
    assert "is a program with stagelight running there?" in result.stderr


def test_a_token_is_passed_on() -> None:
    """From the option, or from the environment; without one, how to is told."""
    token = "correct-horse-battery"
    with stagelight.serve("127.0.0.1:0", token=token) as running:
        refused = command("stats", running.url)
        assert refused.returncode == 2
        assert "STAGELIGHT_TOKEN" in refused.stderr
        assert command("stats", running.url, "--token", token).returncode == 0
        env = {**os.environ, "STAGELIGHT_TOKEN": token}
        assert command("top", running.url, "--once", env=env).returncode == 0


def test_run_serves_the_page_and_says_where() -> None:
    """An unmodified program is seen live; one line on stderr tells the address."""
    prefix = ("-m", "stagelight", "run")
    with start_program(PROGRAM, prefix=prefix, env={"STAGELIGHT_LISTEN": "0"}) as one:
        line = one.wait_for_line("watch it at")
        url = line.split()[-1]
        ask = Client(int(url.rstrip("/").rpartition(":")[2]))
        deadline = time.monotonic() + 60
        worst = None
        while worst is None and time.monotonic() < deadline:
            time.sleep(0.2)
            pipelines = ask("/stats").json["pipelines"]
            worst = next(iter(pipelines.values()), {}).get("bottleneck")
        assert worst["stage"] == "Slow"
        while ask("/readyz").status != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert ask("/readyz").status == 200
        assert ask("/tap/Slow").status == 403


def test_run_takes_a_free_port_where_its_own_is_taken() -> None:
    """Two programs side by side are both served; quietly, without a failure."""
    prefix = ("-m", "stagelight", "run")
    source = "import time, queue; q = queue.Queue(); time.sleep(300)"
    with (
        start_program(source, prefix=prefix, env={"STAGELIGHT_LISTEN": ""}) as one,
        start_program(source, prefix=prefix, env={"STAGELIGHT_LISTEN": ""}) as two,
    ):
        urls = {
            program.wait_for_line("watch it at").split()[-1] for program in (one, two)
        }
        assert len(urls) == 2


def test_run_refuses_an_address_that_cannot_be(tmp_path) -> None:
    """An address that was asked for and cannot be had is an error before the start."""
    prefix = ("-m", "stagelight", "run", "--listen", "0.0.0.0:0")
    result = run_program("print('ran')", prefix=prefix)
    assert (result.returncode, result.stdout) == (2, "")
    assert "can be reached by others" in result.stderr


def test_run_is_not_in_the_way_of_modules_of_the_programs_own(tmp_path) -> None:
    """A program with its own uvicorn.py and anyio.py gets those, and the page works."""
    for name in ("uvicorn", "starlette", "anyio", "h11"):
        (tmp_path / f"{name}.py").write_text(f"WHO = 'mine {name}'\n")
    (tmp_path / "main.py").write_text(
        "import time, uvicorn, starlette, anyio, h11, queue\n"
        "q = queue.Queue(); q.put(1)\n"
        "print(uvicorn.WHO, starlette.WHO, anyio.WHO, h11.WHO, flush=True)\n"
        "time.sleep(300)\n"
    )
    prefix = ("-m", "stagelight", "run")
    with start_program(
        tmp_path / "main.py", prefix=prefix, env={"STAGELIGHT_LISTEN": "0"}
    ) as one:
        line = one.wait_for_line("mine")
        assert line.strip() == "mine uvicorn mine starlette mine anyio mine h11"
        url = one.wait_for_line("watch it at").split()[-1]
        ask = Client(int(url.rstrip("/").rpartition(":")[2]))
        assert ask("/stats").status == 200
        assert ask("/").status == 200
        assert ask("/livez").status == 200
