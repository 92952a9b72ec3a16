"""What tests of the levels share."""

from __future__ import annotations

import pytest

from stagelight._deferred import RESCUERS
from stagelight._detail import DETAIL
from stagelight._distribution import NEVER
from stagelight._tracer import TRACER
from stagelight.testing import capture


@pytest.fixture(autouse=True)
def _normal():
    """Leave no other level behind."""
    yield
    DETAIL.choose("normal")
    DETAIL.asked = False
    DETAIL.budget = 0.02


@pytest.fixture
def captured(monkeypatch):
    """Everything emitted while no journey is in the head sample."""
    before = RESCUERS[:]
    monkeypatch.setattr(TRACER, "followed", False)
    with capture() as found:
        TRACER.configure(found.tracer_provider, 1.0)
        TRACER.due = TRACER.budget.due = NEVER
        yield found
    RESCUERS[:] = before
