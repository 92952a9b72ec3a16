"""What health tests share: no checks, heartbeats or flags left from another test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stagelight import _sinks
from stagelight.health import _heartbeats
from stagelight.health._checks import CHECKS
from stagelight.health._flags import FLAGS
from stagelight.health._monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Forget everything that is registered."""
    before = list(_sinks.EVENTS)
    yield
    CHECKS.clear()
    FLAGS.clear()
    _heartbeats.forget()
    _sinks.EVENTS[:] = before


@pytest.fixture
def monitor(clock) -> Monitor:
    """A monitor whose looks a test makes itself."""
    return Monitor()


@pytest.fixture
def events() -> list:
    """Every event record from now on."""
    found: list = []
    _sinks.EVENTS.append(found.append)
    return found
