"""What stagelight itself costs in this process: measured, not promised."""

from __future__ import annotations

import threading
from time import perf_counter_ns as clock
from typing import Final

from stagelight import _cpu
from stagelight._budget import BUDGET
from stagelight._cells import NANOSECONDS
from stagelight._detail import DETAIL
from stagelight._insights import TelemetryCost
from stagelight._registry import REGISTRY
from stagelight._slices import Slices
from stagelight._toll import ended
from stagelight._workers import WORKERS

#: How our own threads and those of OpenTelemetry's exporters are named.
_OURS: Final = ("stagelight-", "Otel")


def telemetry_cost() -> TelemetryCost:
    """The cost so far."""
    whole = ended()
    for worker in Slices().over(list(WORKERS)):
        toll = worker.toll
        if toll is not None:
            whole.add(toll.whole)
            whole.add(toll.rest(worker))
    background = 0
    for thread in threading.enumerate():
        if thread.name.startswith(_OURS) and thread.native_id is not None:
            background += _cpu.thread_time(thread.native_id) or 0
    uptime = max(clock() - REGISTRY.started, 1)
    cost = whole.cost
    return TelemetryCost(
        per_call=cost / whole.calls / NANOSECONDS if whole.calls else 0.0,
        calls=whole.calls,
        recording=cost / NANOSECONDS,
        background=background / NANOSECONDS,
        share=(cost + background) / uptime,
        busy_share=cost / max(whole.busy + cost, 1),
        worst_share=BUDGET.share,
        budget=DETAIL.budget,
        detail=DETAIL.level,
        chosen=DETAIL.chosen,
    )
