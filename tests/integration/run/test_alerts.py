"""Alerts of an unmodified program: on stderr, in table and document, at a webhook."""

from __future__ import annotations

import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from harness import run_program, start_program
from harness.backends import eventually

if TYPE_CHECKING:
    from pathlib import Path

RUN = ("-m", "stagelight", "run")
FAULTY = """
import pathlib, queue, sys, time

def wait(name):
    if len(sys.argv) == 1:
        time.sleep(1.5)
    else:
        while not pathlib.Path(sys.argv[1], name).exists():
            time.sleep(0.05)

jobs = queue.Queue(10)
for number in range(5):
    jobs.put(number)
wait("told")
while not jobs.empty():
    jobs.get()
wait("resolved")
"""
RULE = """
[alerts]
interval = 0.2
rules = ["critical Deep: queue.size > 3 keep 200ms on jobs"]
"""


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A program whose queue is deep for a while, and a rule that is about it.

    With a folder as its argument it goes on once a file `told`, then one `resolved`,
    is there.
    """
    (tmp_path / "stagelight.toml").write_text(RULE, encoding="utf-8")
    path = tmp_path / "faulty.py"
    path.write_text(FAULTY, encoding="utf-8")
    return path


def test_alerts_are_told(faulty, tmp_path):
    """What fires is told on stderr at once, and is in the table and the document."""
    document = tmp_path / "end.json"
    prefix = (*RUN, "--json", str(document))
    with start_program(faulty, str(tmp_path), prefix=prefix, cwd=tmp_path) as program:
        program.wait_for_line("stagelight  critical: ")
        (tmp_path / "told").touch()
        program.wait_for_line("stagelight  resolved: ")
        (tmp_path / "resolved").touch()
        done = program.finish()
    assert done.returncode == 0
    told = [one for one in done.stderr.splitlines() if one.startswith("stagelight  ")]
    assert told[0].startswith("stagelight  critical: jobs: queue.size > 3. The value")
    assert told[1].startswith("stagelight  resolved: jobs: ")
    assert re.search(r"(?m)^critical +[\d.]+ m?s +[\d.]+ m?s +Deep: jobs", done.stderr)
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

    def states():
        found = [one for body in list(bodies) for one in json.loads(body)["alerts"]]
        return [one["state"] for one in found]

    with start_program(program, str(tmp_path), prefix=RUN, cwd=tmp_path) as running:
        for number, name in enumerate(("told", "resolved"), 1):
            eventually(lambda number=number: len(states()) >= number)
            (tmp_path / name).touch()
        done = running.finish()
    assert done.returncode == 0, done.stderr
    assert states() == ["firing", "resolved"], done.stderr


@pytest.fixture
def hurried(tmp_path: Path) -> tuple[str, ...]:
    """``stagelight run`` whose rules are first evaluated after 0.3 s."""
    path = tmp_path / "hurried.py"
    path.write_text(
        "import sys\nfrom stagelight.cli import _alerting\n"
        "_alerting.FIRST = 0.3\nfrom stagelight.cli import main\nmain()\n",
        encoding="utf-8",
    )
    return (str(path), "run", "--no-table", "--listen", "127.0.0.1:0")


LATE = """
import os, queue, sys, threading, time

def loaded():
    return "stagelight.alerts._engine" in sys.modules

def awaited(seconds):
    due = time.monotonic() + seconds
    while not loaded() and time.monotonic() < due:
        time.sleep(0.02)
    return loaded()

"""


def test_default_rules_are_loaded_after_an_interval(hurried, tmp_path):
    """From the first queue on, wherever the program looks for modules by then."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "datetime.py").write_text("raise RuntimeError", encoding="utf-8")
    program = f"""
sys.path.insert(0, {str(folder)!r})
os.chdir("/")
jobs = queue.Queue()
jobs.put(1)
print(loaded(), awaited(60))
from stagelight import _sinks, _guard
due = time.monotonic() + 60
def evaluating():
    return [t for t in threading.enumerate() if t.name == "stagelight-alerts"]
# What loaded it has the same name until it ends.
while not (_sinks.ALERTS and len(evaluating()) == 1) and time.monotonic() < due:
    time.sleep(0.02)
print(len(_sinks.ALERTS), _guard.ERRORS)
print(*[t.daemon for t in evaluating()])
"""
    done = run_program(LATE + program, prefix=hurried, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["False True", "1 {}", "True"]


def test_a_program_that_stops_alerts_has_none(hurried, tmp_path):
    """Also before they are loaded; what it starts itself is not replaced."""
    program = """
from stagelight import alerts
jobs = queue.Queue()
jobs.put(1)
alerts.stop()
alerts.start({"interval": 60})
mine = list(alerts._RUNNING)
time.sleep(1)
print(alerts._RUNNING == mine)
"""
    done = run_program(LATE + program, prefix=hurried, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it needs fork")
def test_a_child_evaluates_nothing(hurried, tmp_path):
    """Forked before or while its parent waits for the first interval."""
    program = """
for make in (False, True):
    if make:
        jobs = queue.Queue()
        jobs.put(1)
    child = os.fork()
    if not child:
        mine = queue.Queue()
        mine.put(1)
        os._exit(awaited(1) or threading.active_count() > 2)
    print(os.waitpid(child, 0)[1])
"""
    done = run_program(LATE + program, prefix=hurried, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n0\n", "")


def test_what_cannot_be_loaded_late_is_told_once(hurried, tmp_path):
    """The program goes on."""
    program = """
sys.modules["stagelight.alerts._engine"] = None
jobs = queue.Queue()
jobs.put(1)
from stagelight import _guard
due = time.monotonic() + 60
while not _guard.ERRORS and time.monotonic() < due:
    time.sleep(0.02)
print("done")
"""
    done = run_program(LATE + program, prefix=hurried, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert done.stderr.count("stagelight failed in alerts") == 1
