"""What stagelight itself costs in this process: measured, not promised."""

from __future__ import annotations

import threading
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Final

from stagelight import _cpu, _guard
from stagelight._call import compile_wrapper
from stagelight._cells import NANOSECONDS
from stagelight._insights import TelemetryCost
from stagelight._records import StageRecord
from stagelight._registry import REGISTRY, PipelineRecord

if TYPE_CHECKING:
    from collections.abc import Callable

_CALLS: Final = 1000
_ROUNDS: Final = 5
#: How our own threads and those of OpenTelemetry's exporters are named.
_OURS: Final = ("stagelight-", "Otel")
_MEASURED: Final[list[float]] = []


def telemetry_cost() -> TelemetryCost:
    """The cost so far."""
    per_call = _per_call()
    with REGISTRY.lock:
        stages = [s for p in REGISTRY.pipelines.values() for s in p.stages.values()]
    calls = 0
    for stage in stages:
        with stage.lock:
            calls += stage.retired.finished + sum(one.finished for one in stage.slots)
    background = 0
    for thread in threading.enumerate():
        if thread.name.startswith(_OURS) and thread.native_id is not None:
            background += _cpu.thread_time(thread.native_id) or 0
    recording = per_call * calls
    uptime = max(clock() - REGISTRY.started, 1)
    return TelemetryCost(
        per_call=per_call,
        calls=calls,
        recording=recording,
        background=background / NANOSECONDS,
        share=(recording + background / NANOSECONDS) / uptime * NANOSECONDS,
    )


def _per_call() -> float:
    """Seconds that recording adds to one call; measured once, in about 3 ms."""
    if not _MEASURED:
        thread = threading.Thread(target=_measure, name="stagelight-measure")
        thread.start()
        thread.join()
    return _MEASURED[0] if _MEASURED else 0.0


def _measure() -> None:
    """A thread's own: its worker, and what it records, end with it."""
    try:
        stage = StageRecord(PipelineRecord("stagelight"), "cost", "call", "cost")
        observed = compile_wrapper(stage, _nothing)
        stage.slot().worker.alert = 0
        pairs = [(_time(_nothing), _time(observed)) for _ in range(_ROUNDS)]
        # The best of each: a pause in one loop must not look like the other's price.
        bare, whole = (min(times) for times in zip(*pairs, strict=True))
        _MEASURED.append(max(whole - bare, 0) / _CALLS / NANOSECONDS)
    except Exception as error:  # noqa: BLE001 - then nothing is known of it
        _guard.caught("cost", error)


def _time(function: Callable[[object], object]) -> int:
    start = clock()
    for _ in range(_CALLS):
        function(None)
    return clock() - start


def _nothing(event: object) -> object:
    return event
