"""The helper that runs programs."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from pathlib import Path

import pytest

from harness import Completed, run_program, start_program

WAITS = """
    import signal, sys
    def stop(number, frame):
        print("stopping")
        sys.exit(3)
    signal.signal(signal.SIGTERM, stop)
    print("ready")
    print("ready", "again", file=sys.stderr)
    while True:
        signal.pause()
"""


def test_run():
    """A program gets its arguments, and its ending and output come back."""
    source = """
        import sys
        print(sys.argv[1:])
        print("wrong", end="", file=sys.stderr)
        sys.exit(2)
    """
    assert run_program(source, "a", "b c") == Completed(2, "['a', 'b c']\n", "wrong")


def test_prefix():
    """What is given as prefix stands before the script."""
    source = "import sys; print(sys.flags.optimize, sys.argv[1:])"
    assert run_program(source, "x", prefix=("-O",)).stdout == "1 ['x']\n"


def test_environment(monkeypatch):
    """A program sees none of our variables but those given, and serves no page."""
    for name in ("OTEL_SERVICE_NAME", "STAGELIGHT_PAGE", "PYTHONPATH"):
        monkeypatch.setenv(name, "inherited")
    monkeypatch.setenv("OTHER", "kept")
    source = """
        import os
        names = ("OTEL_", "STAGELIGHT_", "PYTHONPATH", "OTHER")
        print({k: v for k, v in sorted(os.environ.items()) if k.startswith(names)})
    """
    ended = run_program(source, env={"OTEL_SERVICE_NAME": "orders"})
    wanted = {"OTEL_SERVICE_NAME": "orders", "OTHER": "kept"}
    assert ended.stdout == f"{wanted | {'STAGELIGHT_LISTEN': 'off'}}\n"


def test_folder(tmp_path):
    """A text runs in a folder of its own, which is gone afterwards."""
    source = "import os; print(os.getcwd(), __file__, sep='\\n')"
    cwd, script = run_program(source).stdout.splitlines()
    assert Path(script).parent == Path(cwd)
    assert not Path(cwd).exists()
    assert run_program(source, cwd=tmp_path).stdout.startswith(f"{tmp_path}\n")


def test_script(tmp_path):
    """A path runs where it is."""
    script = tmp_path / "script.py"
    script.write_text("print(__file__)")
    assert run_program(script).stdout == f"{script}\n"


def test_timeout():
    """A program that does not end is killed, and what it wrote is told."""
    with pytest.raises(TimeoutError, match="still running"):
        run_program(WAITS, timeout=0.1)
    with start_program(WAITS) as program:
        program.wait_for_line("again")
        with pytest.raises(TimeoutError, match=r"still running(.|\n)*ready again"):
            program.finish(timeout=0.1)


def test_lines_and_signal():
    """Lines of both streams are awaited once each; a signal reaches the program."""
    with start_program(WAITS) as program:
        lines = {program.wait_for_line("ready") for _ in range(2)}
        assert lines == {"ready", "ready again"}
        program.signal(signal.SIGTERM)
        assert program.wait_for_line("stop") == "stopping"
        assert program.finish() == Completed(3, "ready\nstopping\n", "ready again\n")


def test_missing_line():
    """A line that cannot come any more, or does not come in time, is an error."""
    with (
        start_program("print('other', end='')") as program,
        pytest.raises(TimeoutError, match="ended without a line with 'ready'"),
    ):
        program.wait_for_line("ready", timeout=60)
    assert program.stdout == "other"
    with (
        start_program(WAITS) as program,
        pytest.raises(TimeoutError, match="no line with 'never' after"),
    ):
        program.wait_for_line("never", timeout=0.1)


def test_last_line_without_end():
    """The last line counts without a line end once the program has ended."""
    with start_program("print('one\\ntwo', end='')") as program:
        assert program.wait_for_line("two") == "two"


def test_killed_at_exit(tmp_path):
    """Leaving the block kills the program, and only it, and leaves no thread."""
    before = set(threading.enumerate())
    fifo = tmp_path / "told"
    os.mkfifo(fifo)
    source = """
        import subprocess, sys
        code = "import sys; sys.stdin.read(); open(sys.argv[1], 'w').write('alive')"
        child = [sys.executable, "-c", code, sys.argv[1]]
        with subprocess.Popen(child, stdin=subprocess.PIPE) as running:
            print("ready")
            running.wait()
    """
    with os.fdopen(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)) as told:
        with start_program(source, str(fifo)) as program:
            program.wait_for_line("ready")
        with pytest.raises(ProcessLookupError):
            os.kill(program.pid, 0)
        assert set(threading.enumerate()) <= before
        # The child's input ends with its parent; then it says that it outlived it.
        assert select.select([told], [], [], 10)[0]
        assert told.read() == "alive"


def test_child_holds_output(tmp_path):
    """A child that outlives its program and keeps the output open is reported."""
    fifo = tmp_path / "end"
    os.mkfifo(fifo)
    source = """
        import os, sys
        parent, held = os.pipe()
        if os.fork() == 0:
            os.close(held)
            os.read(parent, 1)
            print("alone")
            open(sys.argv[1]).read()
    """
    with start_program(source, str(fifo)) as program:
        program.wait_for_line("alone")
        with pytest.raises(TimeoutError, match="a child of it holds its output open"):
            program.finish(timeout=0.5)
    fifo.write_text("")


def test_python():
    """Another interpreter can be named."""
    ended = run_program("import sys; print(sys.executable)", python=sys.executable)
    assert ended.stdout == f"{sys.executable}\n"
