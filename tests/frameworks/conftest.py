"""What the tests with real frameworks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import OtlpReceiver
from harness.frameworks import PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterator


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
