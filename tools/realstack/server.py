"""One server process: started, awaited, killed, started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

#: Jaeger takes ten seconds to send its own traces to nobody.
_PATIENCE: Final = 15.0
#: Loopback never goes through a proxy.
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str, timeout: float = 10) -> str:
    """Fetch a text from a server on loopback.

    Raises:
        OSError: It does not answer, or not with success.
    """
    with _DIRECT.open(url, timeout=timeout) as answer:
        text: str = answer.read().decode()
        return text


def get_json(url: str, timeout: float = 10) -> Any:
    """Fetch a JSON document from a server on loopback."""
    return json.loads(get(url, timeout))


class Server:
    """A program that serves until it is stopped; `with` starts and stops it.

    Args:
        name: For messages, and of its log file.
        command: How it is started.
        ready: URL that answers with success once it serves.
        folder: Where its log goes; it runs there.
        env: Variables on top of this process's own.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        ready: str,
        folder: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.env = dict(env or {})
        self._command = list(command)
        self._ready = ready
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        self.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            RuntimeError: It does not run.
        """
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def wrap(self, *prefix: str) -> None:
        """Start it under another command, such as `unshare`, from now on."""
        self._command[:0] = prefix

    def add_arguments(self, *arguments: str) -> None:
        """Start it with further arguments from now on."""
        self._command += arguments

    def start(self) -> None:
        """Start it, with its log continued."""
        # The program's OTEL_* would be taken for the servers' own telemetry.
        kept = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env={**kept, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, who stop it in turn
            )

    def wait_ready(self, timeout: float = 120) -> None:
        """Wait until it serves.

        Raises:
            RuntimeError: It ended, or does not serve in time; the log's end is told.
        """
        deadline = time.monotonic() + timeout
        while True:
            with contextlib.suppress(OSError):
                get(self._ready, timeout=2)
                return
            if not self.running:
                raise RuntimeError(f"{self.name} ended at its start:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"{self.name} does not answer at {self._ready} "
                    f"after {timeout:.0f} s:\n{self._tail()}"
                )
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def ask_to_stop(self) -> None:
        """Send SIGTERM; `stop` waits for the end."""
        if self.running:
            self.signal(signal.SIGTERM)

    def stop(self) -> None:
        """End it in order; after 15 seconds, without."""
        self.ask_to_stop()
        if self._process is not None:
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])
