from __future__ import annotations

import subprocess
import sys

import pytest

from harness.command import run_command

MODULE = """
import threading
import stagelight

class Price:
    def __init__(self, divisor):
        self.by = divisor
        self.lock = threading.Lock()
    def process(self, event):
        return event["n"] / self.by

def broken():
    return Price(0)

def fixed():
    return Price(2)
"""
PROGRAM = """
import shop, stagelight
from stagelight import _failures
from stagelight._capture import Capture
import datetime, uuid

_failures.install(Capture("kept", codec={codec!r}))
stage = stagelight.Pipeline("shop").stage(shop.broken())
for n in range(3):
    try:
        at = datetime.datetime(2026, 1, 2)
        stage.process({{"id": n, "n": n, "at": at, "b": b"x"}})
    except ZeroDivisionError:
        pass
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A program of two files that has kept three failures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text(MODULE)

    def run(codec="json"):
        (tmp_path / "main.py").write_text(PROGRAM.format(codec=codec))
        subprocess.run([sys.executable, "main.py"], check=True, cwd=tmp_path)

    return run


def replay(*args):
    """Run ``stagelight replay`` on the program's store."""
    return run_command("replay", "--folder", "kept", *args)


def test_the_command(shop):
    """A stage that cannot be made of what is kept is asked for; a factory does."""
    shop()
    refused = replay("1")
    assert refused.returncode == 2
    assert "cannot be made without arguments" in refused.stderr
    assert "--stage module:make()" in refused.stderr
    same = replay("1", "--stage", "shop:broken()", "--trace")
    assert same.returncode == 1
    assert "1 0: same failure" in same.stdout
    assert "ZeroDivisionError: division by zero" in same.stdout
    passed = replay("2", "--stage", "shop:fixed()", "--json")
    assert passed.returncode == 0
    assert '"result": "success"' in passed.stdout
    assert '"after": "returned 0.5"' in passed.stdout


def test_the_command_and_pickles(shop):
    """It says why it does not load them, and loads them when told to."""
    shop("pickle")
    refused = replay("1", "--stage", "shop:fixed()")
    assert refused.returncode == 1
    assert "--allow-pickle" in refused.stdout
    passed = replay("1", "--stage", "shop:fixed()", "--allow-pickle")
    assert passed.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "name one ID, or --group GROUP"),
        (("1", "--group", "x"), "name one ID, or --group GROUP"),
        (("99",), "there is no failed event 99"),
        (("--group", "nope"), "no events of group 'nope' are kept"),
        (("1", "--stage", "shop"), "it takes module:Class.method"),
        (("1", "--stage", "shop:gone"), "there is no gone in shop"),
        (("1", "--stage", "nowhere:x"), "nowhere cannot be imported: ModuleNotFound"),
    ],
)
def test_wrong_calls(shop, arguments, text):
    """Each says what is wrong, and exits with 2."""
    shop()
    done = replay(*arguments)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("codec", ["json", "pickle"])
def test_export(shop, tmp_path, codec):
    """The test fails today, passes once fixed, and needs no stagelight."""
    shop(codec)
    group = run_command("failures", "groups", "--folder", "kept").stdout.split()[0]
    done = run_command(
        *("failures", "export", group, "--output", "test_price.py"),
        *("--folder", "kept", "--stage", "shop:broken()", "--allow-pickle"),
    )
    assert done.stdout == "test_price.py: 3 events\n", done
    text = (tmp_path / "test_price.py").read_text()
    assert "import stagelight" not in text
    command = [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider"]
    command += ["-pno:logfire", "--rootdir", str(tmp_path), "test_price.py"]
    broken = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "3 failed" in broken.stdout, broken
    assert "ZeroDivisionError" in broken.stdout
    module = tmp_path / "shop.py"
    module.write_text(module.read_text().replace("Price(0)", "Price(2)  # fixed"))
    passed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "3 passed" in passed.stdout, passed
