"""Alerts of an unmodified program: on stderr, in table and document, at a webhook."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from harness import run_program

if TYPE_CHECKING:
    from pathlib import Path

RUN = ("-m", "stagelight", "run")
FAULTY = """
import queue, time
jobs = queue.Queue(10)
for number in range(5):
    jobs.put(number)
time.sleep(1.5)
while not jobs.empty():
    jobs.get()
time.sleep(1.5)
"""
RULE = """
[alerts]
interval = 0.2
rules = ["critical Deep: queue.size > 3 keep 200ms on jobs"]
"""


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A program whose queue is deep for a while, and a rule that is about it."""
    (tmp_path / "stagelight.toml").write_text(RULE, encoding="utf-8")
    path = tmp_path / "faulty.py"
    path.write_text(FAULTY, encoding="utf-8")
    return path


def test_alerts_are_told(faulty, tmp_path):
    """What fires is told on stderr at once, and is in the table and the document."""
    document = tmp_path / "end.json"
    prefix = (*RUN, "--json", str(document))
    done = run_program(faulty, prefix=prefix, cwd=tmp_path)
    assert done.returncode == 0
    told = [one for one in done.stderr.splitlines() if one.startswith("stagelight  ")]
    assert told[0].startswith("stagelight  critical: jobs: queue.size > 3. The value")
    assert told[1].startswith("stagelight  resolved: jobs: ")
    assert re.search(r"(?m)^critical +[\d.]+ m?s +[\d.]+ s +Deep: jobs", done.stderr)
    (found,) = json.loads(document.read_text(encoding="utf-8"))["alerts"]
    assert (found["name"], found["state"]) == ("Deep", "resolved")


@pytest.mark.parametrize("how", ["--no-table", "variable", "key"])
def test_alerts_that_nobody_is_told_of(faulty, tmp_path, how):
    """--no-table leaves stderr to the program; alerts = false evaluates nothing."""
    options = (how,) if how.startswith("-") else ()
    env = {"STAGELIGHT_ALERTS": "false"} if how == "variable" else {}
    if how == "key":
        text = RULE.replace("interval = 0.2", "interval = 0.2\nenabled = false")
        (tmp_path / "stagelight.toml").write_text(text, encoding="utf-8")
    done = run_program(faulty, prefix=(*RUN, *options), cwd=tmp_path, env=env)
    assert "critical" not in done.stderr


def test_a_wrong_rule_is_refused(faulty, tmp_path):
    """The program does not run with a rule that cannot be read; the column is told."""
    text = RULE.replace("queue.size", "queue.siz")
    (tmp_path / "stagelight.toml").write_text(text, encoding="utf-8")
    done = run_program(faulty, prefix=RUN, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "alerts.rules, line 1, column 16: unknown name 'queue.siz'" in done.stderr


@pytest.fixture
def hook():
    """A webhook: its address, and what it was sent."""
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_program_with_modules_of_these_names(faulty, tmp_path, hook):
    """What telling needs is not taken from the program's folder, and comes in time."""
    address, bodies = hook
    folder = tmp_path / "shop"
    folder.mkdir()
    for name in ("json", "urllib"):
        (folder / f"{name}.py").write_text("", encoding="utf-8")
    program = faulty.rename(folder / faulty.name)
    text = RULE.replace("interval", f'webhook = "{address}"\ninterval')
    (tmp_path / "stagelight.toml").write_text(text, encoding="utf-8")
    done = run_program(program, prefix=RUN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = [one for body in bodies for one in json.loads(body)["alerts"]]
    assert [one["state"] for one in found] == ["firing", "resolved"], done.stderr
