from __future__ import annotations

import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import stagelight_probe
from harness.timing import least

PROBE = Path(stagelight_probe.__file__)
COMMAND = str(Path(sys.executable).with_name("stagelight"))


def served(answer: bytes) -> int:
    """A port that gives one answer to one request."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as peer:
            peer.recv(4096)
            peer.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code and output of the command."""
    result = subprocess.run(
        [COMMAND, "probe", *arguments], capture_output=True, text=True, check=False
    )
    return result.returncode, result.stdout, result.stderr


def test_the_exit_code_is_the_verdict() -> None:
    """0 where the probe passes, 1 where it fails, 2 where nobody answers."""
    port = served(b'HTTP/1.1 200 OK\r\n\r\n{"status": "pass"}')
    assert run(f"http://127.0.0.1:{port}/livez") == (0, '{"status": "pass"}\n', "")
    port = served(b'HTTP/1.1 503 No\r\n\r\n{"status": "fail"}')
    assert run(f"127.0.0.1:{port}") == (1, '{"status": "fail"}\n', "")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and it never listens
        port = silent.getsockname()[1]
        code, out, err = run(f"http://127.0.0.1:{port}/livez")
        assert (code, out) == (2, "")
        assert "refused" in err
        assert run("--quiet", f"127.0.0.1:{port}") == (2, "", "")


@pytest.mark.parametrize(
    ("answer", "words"),
    [(b"SSH-2.0-x\r\n\r\n", "no HTTP answer"), (b"", "no HTTP answer")],
)
def test_what_is_no_answer_is_told(answer, words) -> None:
    """Another protocol on that port is an error, not a failure."""
    code, _, err = run(f"127.0.0.1:{served(answer)}")
    assert code == 2
    assert words in err


def test_it_gives_up_in_time() -> None:
    """A server that accepts and says nothing is given up after the time-out."""
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def ask() -> float:
            began = time.monotonic()
            code, _, err = run("--timeout=0.2", f"127.0.0.1:{silent.getsockname()[1]}")
            took = time.monotonic() - began
            assert code == 2
            assert "timed out" in err
            return took

        assert least(ask, 2) < 2


@pytest.mark.parametrize(
    "arguments",
    [["--timeout", "x"], ["--timeout"], ["--nope"], ["https://x"], ["http://x:port/"]],
)
def test_wrong_arguments_are_told(arguments) -> None:
    """With the usage, and the exit code of wrong use."""
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err


def test_help_is_shown() -> None:
    """The command explains itself."""
    assert run("--help") == (0, stagelight_probe.USAGE, "")


def test_it_loads_nothing_of_the_package_and_starts_fast() -> None:
    """It takes a tenth of a second at most, and imports neither us nor http."""
    code = (
        "import sys, stagelight_probe; sys.argv[1:] = ['probe', '127.0.0.1:9'];\n"
        "try: stagelight_probe.main()\n"
        "except SystemExit: pass\n"
        "bad = {'stagelight', 'http', 'urllib', 'click', 'opentelemetry', 'email'}\n"
        "print(sorted(bad & {name.partition('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"

    def ask() -> float:
        before = spent()
        run("127.0.0.1:9")
        return spent() - before

    def spent() -> float:
        """Processor time of processes that have ended: it waits for nothing else."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    assert least(ask, 0.1, tries=50) < 0.1
