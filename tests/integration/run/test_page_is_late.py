"""What ``stagelight run`` loads for its page, and when."""

from __future__ import annotations

import sys

import pytest

from harness import run_program
from realstack import free_port
from stagelight.server._late import OTHERS

RUN = ("-m", "stagelight", "run", "--no-table", "--listen")
ASK = """
import urllib.request

def ask(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as one:
        return one.status, len(one.read())
"""
LOADED = """
import sys
parts = ("uvicorn", "starlette", "h11", "anyio", "psutil", "stagelight.health._monitor")
print(*[one for one in parts if one in sys.modules])
"""


@pytest.fixture
def port() -> int:
    """A port that nobody else is given."""
    return free_port()


def run(program: str, port: int):
    """The program under ``stagelight run``, with its page on a port."""
    source = f"port = {port}\n{ASK}\n{program}"
    return run_program(source, prefix=(*RUN, f"127.0.0.1:{port}"))


def test_a_program_that_is_over_at_once_pays_for_no_server() -> None:
    """Nothing of the web server, and nothing that watches, is loaded."""
    done = run_program(LOADED, prefix=(*RUN, "127.0.0.1:0"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_the_first_connection_is_answered(port) -> None:
    """What serves is loaded by it; the page is there, and so are probes and numbers."""
    program = """
print(*map(ask, ["/livez", "/livez"]), ask("/")[0], ask("/stats")[0])
"""
    done = run(program + LOADED, port)
    assert done.stderr == ""
    probes, loaded = done.stdout.splitlines()
    assert probes == "(200, 18) (200, 18) 200 200"
    assert "uvicorn starlette" in loaded


def test_modules_are_found_where_they_were(port) -> None:
    """A program that puts another folder in front changes nothing of the server."""
    program = """
import pathlib, sys, tempfile
folder = pathlib.Path(tempfile.mkdtemp())
for name in ("h11", "uvicorn", "starlette", "psutil"):
    (folder / f"{name}.py").write_text("raise RuntimeError('the program has its own')")
sys.path.insert(0, str(folder))
print(ask("/livez")[0])
"""
    done = run(program, port)
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")


def test_a_module_of_the_program_is_the_programs(port, tmp_path) -> None:
    """Where it has one of a name that the server needs, both get their own."""
    (tmp_path / "h11.py").write_text("MINE = True\n")
    script = tmp_path / "script.py"
    script.write_text(
        f"port = {port}\n{ASK}\n"
        "print(ask('/livez')[0])\nimport h11\nprint(h11.MINE)\nprint(ask('/')[0])\n"
    )
    done = run_program(script, prefix=(*RUN, f"127.0.0.1:{port}"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\nTrue\n200\n", "")


def test_what_the_server_needs_is_known() -> None:
    """Names that a module of the program may take from it are all in the list."""
    program = """
import sys, stagelight.cli._run, stagelight.server._late as late
before = set(sys.modules)
late.PINNED.load()
print(*{name.partition(".")[0] for name in sys.modules.keys() - before})
"""
    done = run_program(program)
    assert done.returncode == 0, done.stderr
    ours = {"stagelight", "opentelemetry", "wrapt"}
    needed = {name for name in done.stdout.split() if not name.startswith("_")}
    assert needed - sys.stdlib_module_names - ours <= OTHERS
