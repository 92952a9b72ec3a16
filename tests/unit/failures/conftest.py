"""A store in a folder of the test's own, and what reads it."""

from __future__ import annotations

import pytest

from stagelight import _failures
from stagelight._capture import Capture
from stagelight._failures._reading import Reader


class Kept:
    """Turns capture on, and reads what was kept."""

    def __init__(self, folder):
        self.folder = folder

    def on(self, **settings):
        """Keep failed events from now on."""
        _failures.install(Capture(self.folder, **settings))

    def read(self):
        """A reader of all that has failed so far."""
        assert _failures.flush(20)
        return Reader(self.folder)

    def all(self):
        """Every kept failure with all that is known of it, the oldest first."""
        with self.read() as reader:
            return [reader.failure(one["id"]) for one in reader.failures()][::-1]

    def payloads(self):
        """Codec and bytes of every kept event, the oldest first."""
        with self.read() as reader:
            numbers = [one["id"] for one in reader.failures()][::-1]
            return [reader.payload(number) for number in numbers]


@pytest.fixture
def kept(tmp_path):
    """The store; capture is off again afterwards."""
    yield Kept(tmp_path / "failures")
    _failures.uninstall()
