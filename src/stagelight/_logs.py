"""Event records as OpenTelemetry log records, and as JSON lines when asked.

A failed event is never suppressed. Drops and queue notices of one kind and place are
told once in ten seconds, with the number that was left out; counters count all.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import _logs as otel_logs
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber

from stagelight import _guard, _names, _outcomes, _own_names, _sinks
from stagelight._renewal import reinit
from stagelight._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._sinks import EventRecord

#: Where the JSON lines go.
LINES: Final = logging.getLogger("stagelight.events")
SUPPRESSED: Final = "stagelight.suppressed_count"
_QUIET_NS: Final = 10_000_000_000
_MAX_TRACEBACK: Final = 16_384
_LOGS: Final = "logs"

_SEVERITY: Final = {
    _names.EXCEPTION_EVENT: SeverityNumber.ERROR,
    _names.DROPPED_EVENT: SeverityNumber.ERROR,
    _names.RETRY_EVENT: SeverityNumber.WARN,
    _names.GIVEN_UP_EVENT: SeverityNumber.WARN,
    _names.QUEUE_FULL_EVENT: SeverityNumber.WARN,
    _names.QUEUE_RECOVERED_EVENT: SeverityNumber.INFO,
}
_OF_STATE: Final = {
    _names.STALLED: SeverityNumber.ERROR,
    _names.OVERLOADED: SeverityNumber.WARN,
    _names.DEGRADED: SeverityNumber.WARN,
}
_NEVER_LEFT_OUT: Final = frozenset(
    {
        _names.EXCEPTION_EVENT,
        _names.STATE_EVENT,
        _names.ALERT_EVENT,
        _own_names.DETAIL_EVENT,
    }
)
_LEVEL: Final = {
    SeverityNumber.ERROR: logging.ERROR,
    SeverityNumber.WARN: logging.WARNING,
    SeverityNumber.INFO: logging.INFO,
    SeverityNumber.DEBUG: logging.DEBUG,
}


class Emitter:
    """Writes event records to the logger provider and, when asked, as JSON lines."""

    def __init__(self) -> None:
        self.provider: otel_logs.LoggerProvider | None = None
        self.json_lines = False
        self._logger: otel_logs.Logger | None = None
        self._logger_of: object = None
        self._told: dict[tuple[str | None, ...], tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._busy = threading.local()

    def __call__(self, record: EventRecord) -> None:
        """Emit one record; a sink of ``_sinks.EVENTS``.

        What an exporter or handler of the user's does with it may itself fail in an
        observed stage: that failure is not handed to the same one again.
        """
        logger = self._current_logger()
        if logger is None and not self.json_lines:
            return
        suppressed = self._suppressed(record)
        if suppressed is None:
            return
        attributes = attributes_of(record)
        if suppressed:
            attributes[SUPPRESSED] = suppressed
        if logger is not None:
            self._once(self._emit, logger, record, attributes)
        if self.json_lines:
            self._once(self._write, record, attributes)

    def _once(self, write: Callable[..., None], *arguments: Any) -> None:
        """Write a record, unless this thread is inside of the same way out."""
        busy = self._busy.__dict__
        name = write.__name__
        if busy.get(name):
            _guard.LOST[_LOGS] = _guard.LOST.get(_LOGS, 0) + 1
            return
        busy[name] = True
        try:
            write(*arguments)
        except Exception as error:  # noqa: BLE001 - the other way out is to be tried
            _guard.caught("event sink", error)
        finally:
            busy[name] = False

    def _emit(
        self, logger: otel_logs.Logger, record: EventRecord, attributes: dict[str, Any]
    ) -> None:
        severity = _severity(record)
        logger.emit(
            timestamp=record.time_ns,
            observed_timestamp=time.time_ns(),
            context=record.context,
            severity_number=severity,
            severity_text=severity.name,
            body=_body(record),
            attributes=attributes,
            event_name=record.name,
        )

    def _write(self, record: EventRecord, attributes: dict[str, Any]) -> None:
        LINES.disabled = False  # they were asked for, whatever dictConfig does
        LINES.log(_LEVEL[_severity(record)], json_line(record, attributes))

    def _current_logger(self) -> otel_logs.Logger | None:
        provider = self.provider or otel_logs.get_logger_provider()
        if provider is not self._logger_of:
            self._logger_of = provider
            silent = (otel_logs.NoOpLoggerProvider, PROXY)
            self._logger = (
                None
                if isinstance(provider, silent)
                else provider.get_logger(
                    _names.SCOPE, __version__, schema_url=_names.SCHEMA_URL
                )
            )
        return self._logger

    def _suppressed(self, record: EventRecord) -> int | None:
        """How many notices were left out before this one, None to leave it out too."""
        if record.name in _NEVER_LEFT_OUT:
            return 0
        key = (record.name, record.pipeline, record.stage, record.queue)
        with self._lock:
            told, left_out = self._told.get(key, (-_QUIET_NS, 0))
            if record.time_ns - told < _QUIET_NS:
                self._told[key] = (told, left_out + 1)
                return None
            self._told[key] = (record.time_ns, 0)
            return left_out

    def begin_anew(self) -> None:
        """Forget which notices were told a short while ago."""
        with self._lock:
            self._told.clear()

    def after_fork(self) -> None:
        """Free what another thread of the parent held; a child tells anew."""
        reinit([self._lock])
        self._busy = threading.local()
        self._told = {}


# The API has no public name for "nothing set yet".
PROXY: Final = type(getattr(otel_logs, "_internal")._PROXY_LOGGER_PROVIDER)  # noqa: B009, SLF001

EMITTER: Final = Emitter()


def attributes_of(record: EventRecord) -> dict[str, Any]:
    """Flat attributes of an event record; never its payload."""
    attributes: dict[str, Any] = {
        _names.PIPELINE: record.pipeline or None,
        _names.STAGE: record.stage,
        _names.QUEUE: record.queue,
        _names.EVENT_ID: record.event_id,
        _names.OUTCOME: record.outcome,
        _names.ERROR_TYPE: record.error_type,
        "stagelight.duration": record.duration,
        **record.attributes,
    }
    if record.stage is not None:
        attributes[_names.ATTEMPT] = record.attempt
    error = record.exception
    if error is not None:
        import traceback

        kind = type(error)
        plain = kind.__module__ in {"builtins", None}
        attributes["exception.type"] = _names.encodable(
            kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"
        )
        attributes["exception.message"] = _outcomes.message(error)
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        attributes["exception.stacktrace"] = _names.encodable("".join(lines))[
            -_MAX_TRACEBACK:
        ]
    return {key: value for key, value in attributes.items() if value is not None}


def json_line(record: EventRecord, attributes: dict[str, Any]) -> str:
    """One event record as one line of JSON.

    Args:
        record: The record.
        attributes: Its attributes.
    """
    import json

    span = trace.get_current_span(record.context).get_span_context()
    severity = _severity(record)
    seconds, nanoseconds = divmod(record.time_ns, 1_000_000_000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    document: dict[str, Any] = {
        "timestamp": f"{moment}.{nanoseconds // 1000:06d}Z",
        "severity": severity.name,
        "event_name": record.name,
        "body": _body(record),
    }
    if span.is_valid:
        document["trace_id"] = trace.format_trace_id(span.trace_id)
        document["span_id"] = trace.format_span_id(span.span_id)
    document["attributes"] = attributes
    return json.dumps(document, ensure_ascii=False, default=str)


def write_json_lines() -> None:
    """Write event records as JSON lines, to stderr unless the user chose a handler.

    A handler that the user put on the logger ``stagelight.events`` before is kept.
    """
    if not LINES.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        LINES.addHandler(handler)
        LINES.propagate = False
    LINES.setLevel(logging.DEBUG)
    EMITTER.json_lines = True


def _severity(record: EventRecord) -> SeverityNumber:
    if record.attributes.get(_names.DROP_INTENTIONAL) is True:
        return SeverityNumber.DEBUG
    if record.name == _names.STATE_EVENT:
        state = record.attributes.get(_names.STATE)
        return _OF_STATE.get(str(state), SeverityNumber.INFO)
    if record.attributes.get("stagelight.alert.state") == "firing":
        grave = record.attributes.get(_names.SEVERITY) == "critical"
        return SeverityNumber.ERROR if grave else SeverityNumber.WARN
    return _SEVERITY.get(record.name, SeverityNumber.INFO)


def _body(record: EventRecord) -> str:
    if record.name == _names.ALERT_EVENT:
        told = record.attributes
        return f"{told['stagelight.alert.state']}: {told['stagelight.alert.summary']}"
    place = f"stage {record.stage}" if record.stage else f"queue {record.queue}"
    if record.name == _names.STATE_EVENT:
        who = f"stage {record.stage}" if record.stage else record.pipeline or "process"
        reason = record.attributes.get(_names.STATE_REASON, "")
        return f"{who} is {record.attributes[_names.STATE]}: {reason}"
    if record.name == _own_names.DETAIL_EVENT:
        told = record.attributes
        return f"detail is {told[_own_names.LEVEL]}: {told[_own_names.REASON]}"
    event = f" event {record.event_id}" if record.event_id else ""
    if record.exception is not None:
        return f"{place} failed{event}: {record.error_type}"
    return f"{place}: {record.name.rpartition('.')[2]}{event}"


def register() -> None:
    """Hear of every event record from now on."""
    _sinks.EVENTS.append(EMITTER)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=EMITTER.after_fork)
