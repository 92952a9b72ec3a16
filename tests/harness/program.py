"""Runs Python programs as subprocesses, with an environment that tests control."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

_CLEANED = ("OTEL_", "STAGELIGHT_", "PYTHON")
_LOOPBACK = "127.0.0.1,localhost"


@dataclass(frozen=True)
class Completed:
    """How a program ended, and all it wrote."""

    returncode: int
    stdout: str
    stderr: str


def run_program(  # noqa: PLR0913 (all are named, most are rare)
    source: str | Path,
    *args: str,
    env: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    timeout: float = 180,
    cwd: Path | None = None,
    python: str = sys.executable,
) -> Completed:
    """Run a program to its end: `python *prefix script *args`.

    Args:
        source: The program's text (dedented, written to a temporary folder), or the
            path of a script, which runs where it is.
        args: The program's arguments.
        env: Variables on top of an environment without `OTEL_*`, `STAGELIGHT_*` and
            `PYTHON*`, in which loopback addresses bypass proxies.
        prefix: What stands before the script, such as `("-m", "stagelight", "run")`.
        timeout: Seconds after which the program is killed and TimeoutError raised.
        cwd: Where it runs; by default in its temporary folder.
        python: The interpreter.
    """
    with start_program(
        source, *args, env=env, prefix=prefix, cwd=cwd, python=python
    ) as program:
        return program.finish(timeout)


def start_program(
    source: str | Path,
    *args: str,
    env: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    cwd: Path | None = None,
    python: str = sys.executable,
) -> Program:
    """Start a program (arguments as in `run_program`); use the result in `with`."""
    folder = tempfile.TemporaryDirectory(prefix="stagelight-test-")
    try:
        script = source
        if isinstance(source, str):
            script = Path(folder.name, "program.py")
            script.write_text(textwrap.dedent(source), encoding="utf-8")
        command = [python, *prefix, str(script), *args]
        return Program(
            command, clean_environment(env), cwd or Path(folder.name), folder
        )
    except BaseException:
        folder.cleanup()
        raise


class Program:
    """A running program; leaving `with` kills it, and only it, if it still runs."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        folder: tempfile.TemporaryDirectory[str],
    ) -> None:
        """Start the command and collect what it writes."""
        self._folder = folder
        self._changed = threading.Condition()
        self._written: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        self._seen: dict[str, int] = {"stdout": 0, "stderr": 0}
        self._lines: list[str] = []
        self._streams = 2
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
        )
        self._wake, self._woken = socket.socketpair()
        self._reader = threading.Thread(target=self._read, name="program-output")
        self._reader.start()

    def __enter__(self) -> Self:
        """Return itself; the program runs already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kill the program if it runs, and release everything."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        # A child of the program may still hold its output open: stop reading anyway.
        self._wake.close()
        self._reader.join()
        self._woken.close()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def stdout(self) -> str:
        """What it wrote to standard output so far."""
        return self._text("stdout")

    @property
    def stderr(self) -> str:
        """What it wrote to standard error so far."""
        return self._text("stderr")

    def wait_for_line(self, text: str, timeout: float = 60) -> str:
        """Wait for a line of either stream that contains the text, and return it.

        Each line is handed out once, so that a second call waits for a second line.
        """

        def found() -> str | None:
            return next((line for line in self._lines if text in line), None)

        with self._changed:
            self._wait(lambda: found() is not None or not self._streams, timeout)
            line = found()
            if line is None:
                if not self._streams:
                    raise self._error(f"ended without a line with {text!r}")
                raise self._error(f"no line with {text!r} after {timeout} s")
            self._lines.remove(line)
            return line

    def signal(self, number: int) -> None:
        """Send a signal to the program itself, unless it has ended."""
        self._process.send_signal(number)

    def finish(self, timeout: float = 180) -> Completed:
        """Wait until it ends and return all it wrote."""
        deadline = time.monotonic() + timeout
        with self._changed:
            closed = self._wait(lambda: not self._streams, timeout)
        try:
            code = self._process.wait(max(deadline - time.monotonic(), 0.05))
        except subprocess.TimeoutExpired:
            raise self._error(f"still running after {timeout} s") from None
        if not closed:
            raise self._error("ended, but a child of it holds its output open")
        return Completed(code, self.stdout, self.stderr)

    def _wait(self, predicate: Callable[[], bool], timeout: float) -> bool:
        return self._changed.wait_for(predicate, timeout)

    def _text(self, name: str) -> str:
        with self._changed:
            return self._written[name].decode("utf-8", "replace")

    def _error(self, what: str) -> TimeoutError:
        text = f"{what}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"
        return TimeoutError(text)

    def _read(self) -> None:
        """Collect both streams until they end or `__exit__` wakes this thread."""
        process = self._process
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            for name, stream in (
                ("stdout", process.stdout),
                ("stderr", process.stderr),
            ):
                if stream is not None:
                    selector.register(stream, selectors.EVENT_READ, name)
            while self._streams:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    data = os.read(key.fd, 65536)
                    if not data:
                        selector.unregister(key.fileobj)
                    self._keep(key.data, data)

    def _keep(self, name: str, data: bytes) -> None:
        with self._changed:
            self._written[name] += data
            if not data:
                self._streams -= 1
            # What follows the last line end is a line only once the stream has ended.
            text = self._written[name]
            end = text.rfind(b"\n") + 1 if data else len(text)
            fresh = text[self._seen[name] : end]
            self._lines += fresh.decode("utf-8", "replace").splitlines()
            self._seen[name] = max(end, self._seen[name])
            self._changed.notify_all()


def clean_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this environment without `OTEL_*` and the like, and with `env`."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(_CLEANED)
    }
    # Tests run side by side: those that want the page ask for it.
    quiet = {"PYTHONUNBUFFERED": "1", "STAGELIGHT_LISTEN": "off"}
    direct = {"NO_PROXY": _LOOPBACK, "no_proxy": _LOOPBACK}
    return {**kept, **direct, **quiet, **(env or {})}
