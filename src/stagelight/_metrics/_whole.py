"""Numbers of the whole process: memory, collector, alerts, and what telemetry lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from stagelight import _guard, _names, _sinks
from stagelight._pauses import gc_pause
from stagelight._process import memory_limit, uptime
from stagelight._snapshot import memory

_Numbers = Iterator[tuple[int | float, dict[str, str | bool]]]


def _memory(_: object) -> _Numbers:
    usage = memory()
    if usage is not None:
        yield usage, {}


def _memory_limit(_: object) -> _Numbers:
    limit = memory_limit()
    if limit is not None:
        yield limit, {}


def _uptime(_: object) -> _Numbers:
    yield uptime(), {}


def _gc_pause(_: object) -> _Numbers:
    yield gc_pause(), {}


def _alert_status(_: object) -> _Numbers:
    for source in list(_sinks.ALERTS):
        for alert in source():
            firing = int(alert.get("state") == "firing")
            yield firing, dict(alert.get("attributes", {}))


def _telemetry_dropped(_: object) -> _Numbers:
    for signal, number in list(_guard.LOST.items()):
        yield number, {_names.SIGNAL: signal}


def _telemetry_errors(_: object) -> _Numbers:
    _guard.speak()
    for place, number in list(_guard.ERRORS.items()):
        yield number, {_names.PLACE: place}


WHOLE: Final[dict[str, Callable[[object], Any]]] = {
    _names.MEMORY.name: _memory,
    _names.MEMORY_LIMIT.name: _memory_limit,
    _names.UPTIME.name: _uptime,
    _names.GC_PAUSE.name: _gc_pause,
    _names.ALERT_STATUS.name: _alert_status,
    _names.TELEMETRY_DROPPED.name: _telemetry_dropped,
    _names.TELEMETRY_ERRORS.name: _telemetry_errors,
}
