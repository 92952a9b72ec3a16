"""The one document that page, commands and tests read."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import fields, is_dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from stagelight import _failures, _guard, _sinks
from stagelight._cost import telemetry_cost
from stagelight._register import default_name
from stagelight._snapshot import DOCUMENT, process_stats, snapshot
from stagelight._version import __version__
from stagelight.health._history import newest
from stagelight.server._live import SHOWN, live_health, live_pipelines

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._insights import TelemetryCost
    from stagelight.health._monitor import Monitor
    from stagelight.server._failed import FailedEvents

#: Of two fields or more each: of one, ``attrgetter`` would return it bare.
_FIELDS: Final[dict[type, tuple[tuple[str, ...], attrgetter[Any]]]] = {}


def make_document(  # noqa: PLR0913 - keyword only, all optional
    monitor: Monitor,
    failed: FailedEvents,
    *,
    tap: bool = False,
    trace_url: str | None = None,
    live: bool = False,
    costs: Callable[[], TelemetryCost] = telemetry_cost,
) -> dict[str, Any]:
    """The state of this process: its snapshot, health, alerts and failed events.

    Args:
        monitor: Whose verdict it has.
        failed: Whose events it has.
        tap: Whether events may be looked at.
        trace_url: Address of a trace, with ``{trace_id}`` in it.
        live: Whether only what the page shows is wanted.
        costs: Tells what recording costs.
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
    past = monitor.seen
    return {
        "version": DOCUMENT,
        "time": time.time(),
        "service": os.environ.get("OTEL_SERVICE_NAME") or default_name(),
        "host": socket.gethostname(),
        "stagelight": __version__,
        "process": process_stats(costs),
        "pipelines": live_pipelines(past) if live else snapshot(past).pipelines,
        "health": live_health(monitor.report()) if live else monitor.report(),
        "alerts": alerts,
        "hints": hints,
        "failed": failed.latest()[: SHOWN if live else None],
        "tap": tap,
        "capture": _failures.installed() is not None,
        "trace_url": trace_url,
        "last": {name: newest(row) for name, row in monitor.last().items()},
    }


def encode(document: Any) -> bytes:
    """A document as JSON.

    Args:
        document: Plain data, and frozen dataclasses in it.
    """
    return json.dumps(
        document,
        ensure_ascii=False,
        allow_nan=False,
        check_circular=False,
        default=_plain,
        separators=(",", ":"),
    ).encode("utf-8", "replace")


def _plain(value: Any) -> dict[str, Any]:
    """A dataclass as a dict of its fields, not copied as ``asdict`` would."""
    kind = type(value)
    known = _FIELDS.get(kind)
    if known is None:
        if not is_dataclass(kind):
            raise TypeError(f"{kind.__qualname__} is no part of a document")
        names = tuple(one.name for one in fields(kind))
        known = _FIELDS[kind] = names, attrgetter(*names)
    names, values = known
    return dict(zip(names, values(value), strict=True))
