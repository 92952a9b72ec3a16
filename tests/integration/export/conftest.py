"""What tests of exporting share: a receiver, and programs that export to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import Completed, OtlpReceiver, run_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """Where programs export to."""
    with OtlpReceiver() as opened:
        yield opened


@pytest.fixture
def export(receiver: OtlpReceiver) -> Callable[..., Completed]:
    """Runs a program that exports to the receiver, and has nothing to complain of."""

    def run(program: str, *args: str, env: dict[str, str] | None = None) -> Completed:
        result = run_program(
            program, *args, env={**receiver.environment("http/protobuf"), **(env or {})}
        )
        assert result.stderr == ""
        return result

    return run
