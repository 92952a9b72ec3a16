"""The watchdog: a process that answers probes from memory that it shares with another.

Run as a script, it imports nothing but a few small modules: it has to be there at once,
and to cost little. The other process writes its verdict and a heartbeat once a second;
whatever happens to that one's interpreter, this one answers, and says so.
"""

from __future__ import annotations

import mmap
import os
import selectors
import socket
import struct
import sys
import time

#: Sequence number, heartbeat (CLOCK_MONOTONIC ns), each probe's status and length.
HEAD = struct.Struct("<QQ" + "HI" * 3)
ROOM = 8192
SIZE = HEAD.size + 3 * ROOM
PATHS = (b"/livez", b"/readyz", b"/startupz")
#: Seconds without a heartbeat: told, and fatal.
LATE, DEAD = 5.0, 60.0
MOST = 64
PATIENCE = 5.0
LARGEST = 4096
REASONS = {200: b"OK", 404: b"Not Found", 405: b"Method Not Allowed"}


def read(memory: mmap.mmap) -> tuple[int, list[tuple[int, bytes]]]:
    """Heartbeat and answers; read again where they changed meanwhile."""
    for _ in range(1000):
        values = HEAD.unpack_from(memory)
        bodies = [
            bytes(memory[HEAD.size + place * ROOM :][: values[3 + 2 * place]])
            for place in range(3)
        ]
        if values[0] % 2 == 0 and HEAD.unpack_from(memory)[0] == values[0]:
            break
    return values[1], [(values[2 + 2 * place], bodies[place]) for place in range(3)]


def processor(pid: int) -> tuple[str, float] | None:
    """State and processor seconds of a process, or None where it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib is slow
            parts = file.read().rpartition(b")")[2].split()
        ticks = int(parts[11]) + int(parts[12])
        return parts[0].decode(), ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


class Answering:
    """Answers probes for one process.

    Args:
        memory: What it shares with that process.
        pid: Which process that is.
        dead: Seconds without a heartbeat after which it counts as dead.
    """

    def __init__(self, memory: mmap.mmap, pid: int, dead: float) -> None:
        self.memory, self.pid, self.dead = memory, pid, dead
        self._seen: tuple[float, float] | None = None

    def answer(self, request: bytes) -> bytes:
        """The whole HTTP answer to a request's head."""
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].rstrip(b"/")
        if method not in {b"GET", b"HEAD"}:
            return respond(405, b'{"status":"fail","output":"only GET and HEAD"}')
        if path not in PATHS:
            text = b'{"status":"fail","output":"only /livez, /readyz, /startupz"}'
            return respond(404, text, head=method == b"HEAD")
        beat, answers = read(self.memory)
        status, body = answers[PATHS.index(path)]
        age = time.monotonic() - beat / 1e9
        if age > LATE:
            status, body = self.missed(path, age, status, body)
        return respond(status, body, head=method == b"HEAD")

    def missed(
        self, path: bytes, age: float, status: int, body: bytes
    ) -> tuple[int, bytes]:
        """The answer where the heartbeat is missing."""
        why = self.reason()
        dead = age > self.dead
        if not dead and status != 200:  # noqa: PLR2004
            return status, body
        if path == b"/startupz" and not dead:
            return status, body
        output = f"process {self.pid} ran no Python for {age:.0f} s: {why}"
        word = "fail" if dead else "warn"
        text = f'{{"status":"{word}","output":"{output}"}}'
        return 503 if dead else 200, text.encode()

    def reason(self) -> str:
        """What the process does instead, as its state and processor time show."""
        now = processor(self.pid)
        if now is None:
            return "it is gone"
        state, spent = now
        if state in "TtZX":
            return "it is stopped" if state in "Tt" else "it has crashed"
        before, self._seen = self._seen, (time.monotonic(), spent)
        if before is not None and time.monotonic() - before[0] > 0.2:  # noqa: PLR2004
            share = (spent - before[1]) / (time.monotonic() - before[0])
            if share > 0.2:  # noqa: PLR2004
                return (
                    f"native code holds the interpreter lock and uses {share:.0%} of a "
                    "processor"
                )
            return "it waits while native code holds the interpreter lock"
        return "the interpreter lock is not given away"


def respond(status: int, body: bytes, *, head: bool = False) -> bytes:
    """An HTTP answer after which the connection ends."""
    reason = REASONS.get(status, b"Service Unavailable")
    return (
        b"HTTP/1.1 %d %b\r\nContent-Type: application/health+json\r\n"
        b"Content-Length: %d\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%b"
        % (status, reason, len(body), b"" if head else body)
    )


class Loop:
    """Serves connections one by one, few at once, none for long."""

    def __init__(self, listener: socket.socket, answering: Answering) -> None:
        self.listener, self.answering = listener, answering
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ)
        self.open: dict[socket.socket, tuple[float, bytearray]] = {}

    def run(self) -> None:
        """Serve until the other process is gone."""
        while os.getppid() == self.answering.pid:
            for key, _ in self.selector.select(1.0):
                if key.fileobj is self.listener:
                    self.accept()
                else:
                    self.receive(key.fileobj)  # type: ignore[arg-type]
            now = time.monotonic()
            for peer in [p for p, (at, _) in self.open.items() if now - at > PATIENCE]:
                self.drop(peer)

    def accept(self) -> None:
        """Let one in; where there are too many, the oldest goes."""
        try:
            peer, _ = self.listener.accept()
        except OSError:
            return
        peer.setblocking(False)  # noqa: FBT003
        if len(self.open) >= MOST:
            self.drop(next(iter(self.open)))
        self.open[peer] = (time.monotonic(), bytearray())
        self.selector.register(peer, selectors.EVENT_READ)
        self.receive(peer)

    def receive(self, peer: socket.socket) -> None:
        """Take what came, and answer once the head of the request is there."""
        if peer not in self.open:
            return
        head = self.open[peer][1]
        try:
            data = peer.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        head += data
        if b"\r\n\r\n" in head:
            try:
                peer.send(self.answering.answer(bytes(head)))
                peer.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            self.drop(peer)
        elif not data or len(head) > LARGEST:
            self.drop(peer)

    def drop(self, peer: socket.socket) -> None:
        """End a connection."""
        self.open.pop(peer, None)
        self.selector.unregister(peer)
        peer.close()


def main() -> None:
    """Serve with the descriptors and numbers of the command line."""
    listener, shared, pid, dead = sys.argv[1:5]
    memory = mmap.mmap(int(shared), SIZE, access=mmap.ACCESS_READ)
    with socket.socket(fileno=int(listener)) as socket_:
        Loop(socket_, Answering(memory, int(pid), float(dead))).run()


if __name__ == "__main__":
    main()
