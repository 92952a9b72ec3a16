"""A server that loads what it needs once somebody connects."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request

import pytest

from stagelight._config import Settings
from stagelight.cli import _serving
from stagelight.cli._plan import Plan
from stagelight.server import open_server


def test_it_answers_the_first_who_asks() -> None:
    """And everybody after that."""
    with open_server(0, later=True) as server:
        for _ in range(2):
            with urllib.request.urlopen(f"{server.url}/livez", timeout=10) as answer:
                assert answer.status == 200


def test_it_closes_without_anybody_having_asked() -> None:
    """At once, and its port is free again."""
    server = open_server(0, later=True)
    start = time.monotonic()
    server.close()
    assert time.monotonic() - start < 1
    assert not server._thread.is_alive()
    open_server(server.port, later=True).close()


def test_a_program_that_nobody_watches_loads_no_server(tmp_path) -> None:
    """What the page needs is not loaded for it."""
    script = tmp_path / "program.py"
    text = "import sys; print(sorted({'uvicorn', 'starlette', 'h11'} & {*sys.modules}))"
    script.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "stagelight", "run", "--listen", "127.0.0.1:0"]
    done = subprocess.run(
        [*command, str(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "expected"), [("steps.py", False), ("h11.py", True), ("queue", True)]
)
def test_modules_that_would_hide_others(tmp_path, name, expected) -> None:
    """Where the program has such a name everything is loaded before it starts."""
    (tmp_path / name).mkdir()
    (tmp_path / "program.py").touch()
    plan = Plan(str(tmp_path / "program.py"), (), False, Settings(), None, True, False)
    assert _serving._may_hide(plan) is expected
