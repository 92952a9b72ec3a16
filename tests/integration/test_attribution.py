from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from harness.synthetic import Running, shapes
from stagelight import _snapshot

if TYPE_CHECKING:
    from harness.synthetic import Shape
    from stagelight._model import Bottleneck

#: How many run side by side: they sleep most of the time.
AT_ONCE = 4
WARM_UP = 1.0
MEASURED = 2.0


@dataclass
class Result:
    """What was said of a shape, and what one more worker really brought."""

    shape: Shape
    said: Bottleneck | None
    rate: float
    rate_with_one_more: float

    @property
    def named(self) -> bool:
        """Whether the bottleneck was found."""
        return self.said is not None and self.said.stage == self.shape.bottleneck.name

    @property
    def measured(self) -> float:
        """Growth by one more worker."""
        return self.rate_with_one_more / self.rate - 1

    @property
    def predicted(self) -> bool:
        """Whether the gain is within a fifth of the measured one."""
        gain = self.said.gain if self.said else None
        return gain is not None and abs(gain - self.measured) <= max(
            0.2 * self.measured, 0.04
        )

    def __str__(self) -> str:
        said = f"{self.said.stage} {self.said.gain:+.0%}" if self.said else "nothing"
        return (
            f"{self.shape.label:20} wanted {self.shape.bottleneck.name} "
            f"{self.measured:+.0%}, said {said}"
        )


def observe(shape: Shape, past: dict[str, _snapshot.Past]) -> tuple:
    """Run a shape; the bottleneck over the measured time, and the throughput."""
    running = Running(shape)
    try:
        # Until the queues are as full as they will be.
        time.sleep(WARM_UP + 0.25 * len(shape.nodes))
        earlier = running.look()
        time.sleep(MEASURED)
        past[running.pipeline.name] = _snapshot.Past(earlier)
        stats = _snapshot.read_pipeline(running.record)
        first = shape.nodes[0].name
        return stats.bottleneck, stats.insight.stages[first].rate
    finally:
        running.stop()


@pytest.mark.slow
def test_the_bottleneck_is_named_and_its_gain_predicted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 48 pipelines at least 95 % are told right, stage and gain of one worker."""
    past: dict[str, _snapshot.Past] = {}
    monkeypatch.setattr(_snapshot, "PAST", [past.__getitem__])

    def judge(shape: Shape) -> Result:
        said, rate = observe(shape, past)
        return Result(shape, said, rate, observe(shape.with_one_more(), past)[1])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(judge, shapes()))
    named = sum(result.named for result in results)
    predicted = sum(result.predicted for result in results)
    wrong = [str(one) for one in results if not (one.named and one.predicted)]
    sys.stdout.write(f"{named} named, {predicted} predicted of {len(results)}\n")
    assert named >= 0.95 * len(results), wrong
    assert predicted >= 0.95 * len(results), wrong
