from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
from textwrap import dedent

import pytest

import stagelight
from harness import run_program, start_program
from harness.asking import Client
from harness.timing import least


def port_of(url: str) -> int:
    """The port of a URL."""
    return int(url.rstrip("/").rpartition(":")[2])


def test_it_tells_the_same_verdict(pipeline) -> None:
    """Probes pass through a process of its own, and fail there as they do here."""
    with stagelight.serve("127.0.0.1:0", watchdog="127.0.0.1:0") as server:
        ask = Client(port_of(server.watchdog_url))
        for path in ("/livez", "/readyz", "/startupz"):
            assert (ask(path).status, ask(path).json) == (200, {"status": "pass"})
        assert ask("/stats").status == 404
        assert ask("/livez", "POST").status == 405
        stagelight.health.drain()
        deadline = time.monotonic() + 60
        while ask("/readyz").status == 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        answer = ask("/readyz")
        assert answer.status == 503
        assert answer.json["output"] == (
            "startup: stopping: it drains, and takes no new work"
        )


@pytest.mark.slow
def test_it_tells_a_held_lock(pipeline, monkeypatch) -> None:
    """Native code that keeps the interpreter lock shows, and fails after a limit."""
    from stagelight.server import _answering

    monkeypatch.setattr(_answering, "DEAD", 7.5)
    asker = dedent("""
        import sys, time, urllib.request, urllib.error
        url, seen = sys.argv[1] + "livez", []
        until = time.monotonic() + 60
        while time.monotonic() < until:
            # Less than the lock is held for: else nobody would have been answered.
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    seen.append((200, answer.read().decode()))
            except urllib.error.HTTPError as answer:
                seen.append((answer.code, answer.read().decode()))
            if len(seen) == 1:
                print("asking", flush=True)
            if seen[-1][0] == 200 and any(code == 503 for code, _ in seen):
                break
            time.sleep(0.5)
        print(repr(seen))
    """)
    from stagelight.server._watchdog import start_watchdog

    with stagelight.serve("127.0.0.1:0") as server:
        from stagelight.health._monitor import MONITOR

        watchdog = start_watchdog(MONITOR, "127.0.0.1", 0, dead=7.5)
        asking = subprocess.Popen(
            [sys.executable, "-c", asker, watchdog.url],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert asking.stdout.readline() == "asking\n"
        ctypes.PyDLL(None).sleep(11)  # a call that does not give the lock away
        seen = eval(asking.communicate()[0])
        watchdog.close()
        assert Client(server.port)("/livez").status == 200
    statuses = [status for status, _ in seen]
    assert statuses[0] == 200
    assert 503 in statuses
    assert statuses[-1] == 200
    texts = [text for _, text in seen]
    assert any('"warn"' in text and "ran no Python for" in text for text in texts)
    assert any("native code holds the interpreter lock" in text for text in texts)


def test_it_ends_with_the_program(tmp_path) -> None:
    """Killed at once the program leaves no watchdog behind."""
    source = """
    import stagelight, sys, time
    from stagelight.server import _watchdog
    with stagelight.serve("127.0.0.1:0", watchdog="127.0.0.1:0") as server:
        print(server.watchdog_url, flush=True)
        time.sleep(300)
    """
    with start_program(source) as program:
        url = program.wait_for_line("http").strip()
        assert Client(port_of(url))("/livez").status == 200
        program.signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    refused = False
    while not refused and time.monotonic() < deadline:
        try:
            Client(port_of(url))("/livez")
            time.sleep(0.1)
        except OSError:
            refused = True
    assert refused


def test_it_leaves_at_exit() -> None:
    """A program that forgets to close it ends all the same, and at once."""
    source = """
    import stagelight
    server = stagelight.serve("127.0.0.1:0", watchdog=0)
    print(server.watchdog_url)
    """

    def run() -> float:
        began = time.monotonic()
        result = run_program(source)
        assert (result.returncode, result.stderr) == (0, "")
        return time.monotonic() - began

    assert least(run, 8) < 8
