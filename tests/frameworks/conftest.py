"""What the tests with real frameworks share."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness import OtlpReceiver
from harness.frameworks import PYTHON
from realstack import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them, and skip them where the frameworks are not installed."""
    for item in items:
        if "frameworks" in item.path.parts:
            item.add_marker("frameworks")
            if not PYTHON.exists():
                item.add_marker(pytest.mark.skip(reason="run `make frameworks` first"))


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """A real OTLP receiver."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """The address of a redis of our own, empty."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("needs redis-server, a system package")
    port = free_port()
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    running = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert running.stdout is not None
        for line in running.stdout:
            if b"Ready to accept connections" in line:
                break
        # Nobody reads on: redis says a few lines more at most.
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        running.terminate()
        running.wait(10)
        if running.stdout is not None:
            running.stdout.close()
