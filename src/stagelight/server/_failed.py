"""The latest failed events, each with its trace; never their payload."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

from stagelight import _names, _outcomes, _sinks

if TYPE_CHECKING:
    from stagelight._redaction import Redactor
    from stagelight._sinks import EventRecord

_KEPT: Final = 50


@dataclass(frozen=True, slots=True)
class Failed:
    """One failed event.

    Attributes:
        time: Wall clock, seconds since the epoch.
        pipeline: Name of the pipeline.
        stage: Name of the stage.
        queue: Queue that it came from, or None.
        event_id: Its identifier, redacted, or None.
        error_type: Class of the exception.
        message: Its text, redacted and cut.
        attempt: Which attempt it was.
        duration: Seconds in the stage.
        trace_id: Its trace, or None.
        span_id: Its span, or None.
    """

    time: float
    pipeline: str
    stage: str
    queue: str | None
    event_id: str | None
    error_type: str
    message: str
    attempt: int
    duration: float | None
    trace_id: str | None
    span_id: str | None


class FailedEvents:
    """Hears of every failed event, and keeps the last fifty.

    Args:
        redactor: Takes secrets out of what is kept.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._lock = threading.Lock()
        self._kept: deque[Failed] = deque(maxlen=_KEPT)

    def install(self) -> None:
        """Listen from now on."""
        _sinks.EVENTS.append(self.note)

    def uninstall(self) -> None:
        """Listen no more."""
        if self.note in _sinks.EVENTS:
            _sinks.EVENTS.remove(self.note)

    def note(self, record: EventRecord) -> None:
        """Take a record into account.

        Args:
            record: Any record; only those of failed events count.
        """
        if record.name != _names.EXCEPTION_EVENT:
            return
        span = trace.get_current_span(record.context).get_span_context()
        error = record.exception
        text = _outcomes.message(error) if error is not None else ""
        failed = Failed(
            time=record.time_ns / 1e9,
            pipeline=record.pipeline,
            stage=record.stage or "",
            queue=record.queue,
            event_id=None
            if record.event_id is None
            else self._redactor.text(record.event_id, 80),
            error_type=record.error_type or "",
            message=self._redactor.text(text),
            attempt=record.attempt,
            duration=record.duration,
            trace_id=trace.format_trace_id(span.trace_id) if span.is_valid else None,
            span_id=trace.format_span_id(span.span_id) if span.is_valid else None,
        )
        with self._lock:
            self._kept.append(failed)

    def latest(self) -> list[Failed]:
        """Those that are kept, the newest first."""
        with self._lock:
            return list(reversed(self._kept))
