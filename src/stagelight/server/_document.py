"""The one document that page, commands and tests read."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard, _sinks
from stagelight._register import default_name
from stagelight._snapshot import snapshot
from stagelight._version import __version__

if TYPE_CHECKING:
    from stagelight.health._monitor import Monitor
    from stagelight.server._failed import FailedEvents

_NAMES: Final[dict[type, tuple[str, ...]]] = {}


def make_document(
    monitor: Monitor,
    failed: FailedEvents,
    *,
    tap: bool = False,
    trace_url: str | None = None,
) -> dict[str, Any]:
    """The state of this process: its snapshot, health, alerts and failed events.

    Args:
        monitor: Whose verdict it has.
        failed: Whose events it has.
        tap: Whether events may be looked at.
        trace_url: Address of a trace, with ``{trace_id}`` in it.
    """
    alerts: list[dict[str, Any]] = []
    hints: list[dict[str, Any]] = []
    for tell in list(_sinks.HINTS):
        try:
            hints += tell()
        except Exception as error:  # noqa: BLE001, PERF203 - the rest is to be seen
            _guard.caught("hints", error)
    for source in list(_sinks.ALERTS):
        try:
            alerts += [one for one in source() if one.get("state") != "resolved"]
        except Exception as error:  # noqa: BLE001, PERF203 - the rest is to be seen
            _guard.caught("alerts", error)
    monitor.tick()
    state = snapshot(monitor.seen)
    return {
        "version": state.version,
        "time": state.time,
        "service": os.environ.get("OTEL_SERVICE_NAME") or default_name(),
        "host": socket.gethostname(),
        "stagelight": __version__,
        "process": state.process,
        "pipelines": state.pipelines,
        "health": monitor.report(),
        "alerts": alerts,
        "hints": hints,
        "failed": failed.latest(),
        "tap": tap,
        "trace_url": trace_url,
        "last": {name: nested(row) for name, row in monitor.last().items()},
    }


def nested(row: dict[tuple[str, ...], float]) -> dict[str, Any]:
    """One row of history by kind, name and column.

    Args:
        row: Column to number.
    """
    found: dict[str, Any] = {"stages": {}, "queues": {}}
    for (kind, name, column), number in row.items():
        found[kind].setdefault(name, {})[column] = None if number != number else number  # noqa: PLR0124 - NaN
    return found


def encode(document: Any) -> bytes:
    """A document as JSON.

    Args:
        document: Plain data, and frozen dataclasses in it.
    """
    return json.dumps(
        document,
        ensure_ascii=False,
        allow_nan=False,
        default=_plain,
        separators=(",", ":"),
    ).encode("utf-8", "replace")


def _plain(value: Any) -> dict[str, Any]:
    """A dataclass as a dict of its fields, not copied as ``asdict`` would."""
    kind = type(value)
    names = _NAMES.get(kind)
    if names is None:
        if not is_dataclass(kind):
            raise TypeError(f"{kind.__qualname__} is no part of a document")
        names = _NAMES[kind] = tuple(one.name for one in fields(kind))
    return {name: getattr(value, name) for name in names}
