"""Starts the watchdog process, and writes the verdict where it reads it."""

from __future__ import annotations

import atexit
import contextlib
import mmap
import os
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING

from stagelight import _guard
from stagelight._errors import ConfigurationError
from stagelight.server import _answering
from stagelight.server._address import bind, url_of
from stagelight.server._probes import PROBES, answer

if TYPE_CHECKING:
    import socket

    from stagelight.health._monitor import Monitor

#: Seconds between two heartbeats.
_BEAT = 1.0


class Watchdog:
    """A running watchdog.

    Attributes:
        url: Where it answers.
        pid: Its process.
    """

    def __init__(
        self, monitor: Monitor, listener: socket.socket, host: str, dead: float
    ) -> None:
        self.url = url_of(listener, host)
        self._monitor = monitor
        self._owner = os.getpid()
        self._end = threading.Event()
        self._sequence = 0
        with tempfile.TemporaryFile() as file:
            file.truncate(_answering.SIZE)
            self._memory = mmap.mmap(file.fileno(), _answering.SIZE)
            self._write()
            descriptors = (listener.fileno(), file.fileno())
            self._process = subprocess.Popen(  # noqa: S603 - our own file
                [
                    sys.executable,
                    "-I",
                    "-S",
                    _answering.__file__,
                    *map(str, descriptors),
                    str(self._owner),
                    str(dead),
                ],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the program
            )
        listener.close()
        self.pid = self._process.pid
        self._thread = threading.Thread(
            target=self._beat, name="stagelight-heartbeat", daemon=True
        )
        self._thread.start()
        atexit.register(self.close)

    def close(self) -> None:
        """End it."""
        if self._owner != os.getpid() or self._end.is_set():
            return
        self._end.set()
        atexit.unregister(self.close)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self._thread.join(2)

    def _beat(self) -> None:
        while not self._end.wait(_BEAT):
            try:
                self._write()
            except Exception as error:  # noqa: BLE001, PERF203 - then it is missed
                _guard.caught("watchdog", error)

    def _write(self) -> None:
        answers = [answer(self._monitor, probe) for probe in PROBES]
        bodies = [body[: _answering.ROOM] for _, _, body in answers]
        for place, body in enumerate(bodies):
            start = _answering.HEAD.size + place * _answering.ROOM
            bodies[place] = body
            if place == 0:
                self._head(odd=True, answers=None)
            self._memory[start : start + len(body)] = body
        numbers: list[int] = []
        for (status, _, _), body in zip(answers, bodies, strict=True):
            numbers += [status, len(body)]
        self._head(odd=False, answers=numbers)

    def _head(self, *, odd: bool, answers: list[int] | None) -> None:
        """The head: while its number is odd nothing of it is to be believed."""
        self._sequence += 1
        if answers is None:
            answers = list(_answering.HEAD.unpack_from(self._memory))[2:]
        if (self._sequence % 2 == 1) != odd:  # an error came between
            self._sequence += 1
        beat = time.monotonic_ns()
        _answering.HEAD.pack_into(self._memory, 0, self._sequence, beat, *answers)


def start_watchdog(
    monitor: Monitor, host: str, port: int, dead: float = _answering.DEAD
) -> Watchdog:
    """Start the watchdog process.

    Args:
        monitor: Whose verdict it tells.
        host: Where it listens.
        port: On which port.
        dead: Seconds without a heartbeat after which liveness fails.

    Raises:
        ConfigurationError: The address is in use, or there are no such processes here.
    """
    if os.name != "posix":
        raise ConfigurationError("watchdog=: it needs a POSIX system")
    return Watchdog(monitor, bind(host, port), host, dead)
