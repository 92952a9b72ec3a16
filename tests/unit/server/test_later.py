"""A server that loads what it needs once somebody connects."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from types import SimpleNamespace

import pytest

from harness.timing import least
from stagelight.cli import _modules
from stagelight.server import start
from stagelight.server._late import OTHERS


def test_it_answers_the_first_who_asks() -> None:
    """And everybody after that."""
    with start(0, late=True) as server:
        for _ in range(2):
            with urllib.request.urlopen(f"{server.url}/livez", timeout=10) as answer:
                assert answer.status == 200


def test_it_closes_without_anybody_having_asked() -> None:
    """At once, and its port is free again."""

    def close() -> float:
        server = start(0, late=True)
        began = time.monotonic()
        server.close()
        took = time.monotonic() - began
        assert not server._thread.is_alive()
        start(server.port, late=True).close()
        return took

    assert least(close, 1) < 1


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
    if name.endswith(".py"):
        (tmp_path / name).touch()
    else:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "program.py").touch()
    names = OTHERS | sys.stdlib_module_names
    plan = SimpleNamespace(program=tmp_path / "program.py", is_module=False)
    assert _modules.hides(plan, names) is expected
