"""What tests of the server share."""

from __future__ import annotations

import pytest

from stagelight.health._monitor import Monitor


@pytest.fixture
def monitor(clock) -> Monitor:
    """A monitor whose looks a test makes itself."""
    return Monitor()
