"""Contestants that keep failed events: each is measured beside itself with that off."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gauge.cases import LOOPS, Case, cpu
from gauge.stages import pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from gauge.cases import Round, Side

#: Of so many events one fails; each computes for so many seconds.
FAILING = 10
BUSY = 100e-6
_EVENTS = 4_000


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="stagelight-bench-"))


def unfailing(
    make: Callable[[str], Case], mode: str, attributes: tuple[str, ...] = ()
) -> Round:
    """A stage that never fails: capture on, and beside it capture off.

    Args:
        make: Makes the observed stage.
        mode: How journeys are traced.
        attributes: Declared attributes, for which successes are sampled.
    """
    from stagelight import Capture, _failures

    observed = make(mode).observed
    capture = Capture(_folder(), attributes=attributes)

    def captured(number: int) -> float:
        _failures.install(capture)
        try:
            return observed(number)
        finally:
            _failures.uninstall()

    def bare(number: int) -> float:
        # The same before the loop: what it leaves in the caches is no cost of an event.
        _failures.install(capture)
        _failures.uninstall()
        return observed(number)

    return Case(captured, bare).rounds()


def failing(mode: str) -> Round:
    """A busy stage of which every tenth event fails: a thousand in a second of work.

    Args:
        mode: How journeys are traced.
    """
    from stagelight import Capture, _failures
    from stagelight._failures._sink import REPLAYING

    ours, settle = pipeline(mode)
    rounds = _rounds_of(BUSY)

    @ours.stage(name="stage")
    def stage(event: dict[str, Any]) -> dict[str, Any]:
        for _ in repeat(None, rounds):
            pass
        if event["id"] % FAILING == 0:
            raise ValueError(event["id"])
        return event

    def run(number: int) -> None:
        for one in range(number):
            with suppress(ValueError):
                stage({"id": one, "lines": [1, 2, 3], "note": "x" * 200})

    def side(*, on: bool) -> Side:
        def measured(number: int) -> float:
            REPLAYING.on = not on  # nothing is taken then
            start = cpu()
            run(number)
            _failures.flush(60)
            settle()
            return cpu() - start

        return measured

    _failures.install(Capture(_folder(), max_events=20_000))
    on, off = side(on=True), side(on=False)
    on(_EVENTS), off(_EVENTS)

    def once() -> dict[str, float]:
        pairs = [(off(_EVENTS), on(_EVENTS)) for _ in range(LOOPS)]
        bare, both = (min(one) for one in zip(*pairs, strict=True))
        micro = 1e6 / _EVENTS
        return {"us": (both - bare) * micro, "bare": bare * micro}

    return once


def _rounds_of(seconds: float) -> int:
    """How often an empty loop runs in so many seconds.

    It makes no objects: where these came to lie would change its pace.
    """
    number = 200_000
    start = cpu()
    for _ in repeat(None, number):
        pass
    return int(number * seconds / (cpu() - start))
