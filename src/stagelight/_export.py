"""What happens to telemetry on its way out: every exporter watched, and its end."""

from __future__ import annotations

import contextlib
import importlib
import logging
from typing import TYPE_CHECKING, Any

from stagelight._backlog import BACKLOGS, LOGS, METRICS, NOT_FULL, TRACES, counting
from stagelight._watched import CLOSING, WATCHED, Watched

if TYPE_CHECKING:
    from collections.abc import Collection


def watch(tracer_provider: Any, meter_provider: Any, logger_provider: Any) -> None:
    """Watch every exporter of providers that ``configure`` made.

    The SDK offers no place for that on all supported versions, so this looks where its
    processors and readers keep their exporters, and leaves alone what looks different.

    Args:
        tracer_provider: The SDK's, or None.
        meter_provider: The SDK's, or None.
        logger_provider: The SDK's, or None.
    """
    spans = getattr(tracer_provider, "_active_span_processor", None)
    for processor in getattr(spans, "_span_processors", ()):
        _watch_batch(processor, TRACES)
    logs = getattr(logger_provider, "_multi_log_record_processor", None)
    for processor in getattr(logs, "_log_record_processors", ()):
        _watch_batch(processor, LOGS)
    consumer = getattr(meter_provider, "_measurement_consumer", None)
    for reader in getattr(consumer, "_reader_storages", ()):
        exporter = getattr(reader, "_exporter", None)
        if exporter is not None:
            reader._exporter = Watched(exporter, METRICS)  # noqa: SLF001
    logging.getLogger("opentelemetry.sdk._shared_internal").addFilter(NOT_FULL)
    # What HTTP imports at its first request: a child that is forked meanwhile would
    # wait for that import's lock forever.
    with contextlib.suppress(ImportError):
        importlib.import_module("netrc")


def _watch_batch(processor: Any, signal: str) -> None:
    batch = getattr(processor, "_batch_processor", None)
    exporter = getattr(batch, "_exporter", None)
    if batch is None or exporter is None:
        return
    watched = Watched(exporter, signal)
    batch._exporter = watched  # noqa: SLF001
    if "span_exporter" in vars(processor):  # a property in newer SDKs
        processor.span_exporter = watched
    if hasattr(batch, "_queue"):
        batch._queue = counting(batch._queue, signal)  # noqa: SLF001


def struggling(signal: str) -> bool:
    """Whether a signal's exporter is in trouble now.

    Args:
        signal: ``traces``, ``metrics`` or ``logs``.
    """
    return any(one.struggling for one in WATCHED if one.signal == signal)


def hurry() -> None:
    """Let exports that wait to try again do it now."""
    for watched in WATCHED:
        if watched.struggling:
            watched.hurry()


def close(late: Collection[str]) -> None:
    """Send nothing any more, and let running exports end.

    Args:
        late: Signals that could not be flushed in time.
    """
    for watched in WATCHED:
        if watched.signal in late:
            watched.tell()
    CLOSING.set()
    for watched in WATCHED:
        if watched.signal in late:
            watched.give_up()
        watched.abort()
    for backlog in BACKLOGS:
        if backlog.signal in late:
            backlog.abandon()
