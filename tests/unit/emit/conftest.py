"""What tests of the emitting layer share: providers, and the fallback undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.readers import Attached
from stagelight import _guard, _metrics, _spans, _workers
from stagelight._slots import FALLBACK

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def attached() -> Iterator[Attached]:
    """Attach providers of the SDK, which are shut down at the end."""
    made = Attached()
    yield made
    made.close()


@pytest.fixture
def recorded() -> Iterator[None]:
    """Undo what the fallback to one recording per event leaves behind."""
    yield
    _metrics._RECORDED.clear()
    _spans.RECORD.clear()
    _workers.set_alert(FALLBACK, on=False)
    _guard.reset()
