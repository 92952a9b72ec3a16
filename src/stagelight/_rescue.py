"""Rescue exports the journeys that turned out to matter.

A failed call, or one far slower than its like, has a deferred span, and so have the
earlier stages of its journey that are still held. They are exported with the ids that
their logs carry.
"""

from __future__ import annotations

import os
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

from stagelight import _names
from stagelight._deferred import RECORDERS, RESCUERS
from stagelight._recorder import SpanRecorder, length_of, readable
from stagelight._shapes import shape_of
from stagelight._tracer import TRACER, Budget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stagelight._deferred import Deferred
    from stagelight._journey import Journey

#: Seconds of unused budget that a burst of failures may use up.
_BURST: Final = 10.0
#: Slow journeys are rescued at this share of the rate for failed ones.
_SLOW_SHARE: Final = 0.05
#: With these the user wants no span at all.
_OFF: Final = frozenset({"always_off", "parentbased_always_off"})


class Rescuer:
    """Exports rescued journeys, so many a second.

    Args:
        per_second: Journeys with a failure; of slow ones a twentieth. None for all.
    """

    def __init__(self, per_second: float | None) -> None:
        self._budgets: dict[str, Budget | None] = {"failure": None, "slow": None}
        if per_second is not None:
            self._budgets["failure"] = Budget(per_second, _BURST)
            self._budgets["slow"] = Budget(per_second * _SLOW_SHARE, _BURST)

    def __call__(self, journey: Journey, spans: Sequence[Deferred], why: str) -> None:
        """Export a journey's spans, if the budget allows.

        Args:
            journey: The journey.
            spans: Those of its spans that were not exported yet.
            why: ``failure`` or ``slow``; empty where it is rescued already.
        """
        provider: Any = TRACER.provider or trace.get_tracer_provider()
        processor = getattr(provider, "_active_span_processor", None)
        if processor is None or not spans:
            return
        if not journey.rescued:
            budget = self._budgets[why]
            if budget is not None and not budget.take(clock()):
                return
            journey.rescued = True
        longest = length_of(provider)
        for span in spans:
            span.exported = True
            span.attributes = {
                **(span.attributes or {}),
                _names.RESCUED: why or "failure",
            }
            shape = shape_of(span.attributes)
            processor.on_end(readable(span, provider, longest, shape))

    def renew(self) -> None:
        """Give a forked child locks of its own."""
        self._budgets = {
            why: None if budget is None else budget.renewed()
            for why, budget in self._budgets.items()
        }


def install(per_second: float | None) -> None:
    """Rescue journeys from now on.

    Args:
        per_second: Failed journeys a second; None for all, 0 for none.
    """
    sampler = os.environ.get("OTEL_TRACES_SAMPLER", "").strip()
    off = sampler in _OFF or per_second == 0
    RESCUERS[:] = [] if off else [Rescuer(per_second)]
    RECORDERS[:] = [SpanRecorder()]


def _after_fork() -> None:
    for rescuer in RESCUERS:
        if isinstance(rescuer, Rescuer):
            rescuer.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
