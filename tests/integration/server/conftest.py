"""What server tests share: a fresh registry and verdict, and a client without magic."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import stagelight
from harness.asking import Client
from stagelight import _guard, _sinks
from stagelight._registry import REGISTRY
from stagelight.health import _heartbeats
from stagelight.health._checks import CHECKS
from stagelight.health._flags import FLAGS
from stagelight.health._monitor import MONITOR, Monitor

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Start with nothing registered, and leave nothing behind."""
    before = dict(REGISTRY.pipelines)
    events = list(_sinks.EVENTS)
    REGISTRY.pipelines.clear()
    MONITOR.__dict__.update(Monitor().__dict__)
    _guard.reset()
    yield
    errors = dict(_guard.ERRORS)
    CHECKS.clear()
    FLAGS.clear()
    _heartbeats.forget()
    _sinks.EVENTS[:] = events
    _sinks.TAPS.clear()
    REGISTRY.pipelines.clear()
    REGISTRY.pipelines.update(before)
    _guard.reset()
    assert errors == {}
    left = {thread.name for thread in threading.enumerate()}
    assert not left & {"stagelight-server", "stagelight-monitor"}


@pytest.fixture
def pipeline() -> stagelight.Pipeline:
    """A pipeline with one stage that has run."""
    found = stagelight.Pipeline("shop")
    found.stage(lambda event: event, name="parse")(1)
    return found


@pytest.fixture
def server(pipeline) -> Iterator[stagelight.Server]:
    """A server on a free port, its tap allowed."""
    with stagelight.serve("127.0.0.1:0", tap=True) as running:
        yield running


@pytest.fixture
def ask(server) -> Client:
    """Asks it."""
    return Client(server.port)
