"""What happens to telemetry on its way out: losses counted, one warning, fork-safe."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from stagelight import _guard, _secrets
from stagelight._backlog import (
    BACKLOGS,
    LOGS,
    LOST_LOCK,
    METRICS,
    NOT_FULL,
    TRACES,
    counting,
    lose,
)
from stagelight._guard import LOST
from stagelight._renewal import renewed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

#: Set while the process ends and time is up: nothing is sent any more.
CLOSING: Final = threading.Event()
#: Every exporter that is watched.
_WATCHED: Final[list[Watched]] = []
#: What the exporters of one address share: which signals fail, and whether it was said.
_STATES: Final[dict[str, _State]] = {}


class _State:
    """Whether one address takes what is sent there."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.told = False


class _Running(threading.local):
    """The watched exporter that runs in this thread, whose log lines are ours."""

    watched: Watched | None = None


_RUNNING: Final = _Running()


class Watched:
    """An exporter that counts what it loses, and says once that it does.

    Everything else is the inner exporter's. A forked child gets a copy with a
    connection of its own, for a connection cannot be shared by two processes.

    Args:
        inner: An OTLP exporter, or any other one.
        signal: What it exports.
    """

    def __init__(self, inner: Any, signal: str) -> None:
        self._inner = inner
        self.signal = signal
        self._pid = os.getpid()
        self._parents: list[Any] = []
        #: Set while the endpoint does not answer as it should.
        self.struggling = False
        self.reason = ""
        #: Exports that were taken.
        self.accepted = 0
        _secrets.learn(getattr(inner, "_headers", None))
        place = str(getattr(inner, "_endpoint", "its endpoint"))
        self._address = _secrets.redact(place)
        place = urlsplit(self._address).netloc or self._address
        self._state = _STATES.setdefault(place, _State())
        for name in _logger_names(inner):
            # First, for the exporter's own filter hides what looks like a repetition.
            filters = logging.getLogger(name).filters
            if _QUIET not in filters:
                filters.insert(0, _QUIET)
        _WATCHED.append(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def export(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        """Export one batch.

        Args:
            batch: Spans, log records, or one ``MetricsData``.
            args: As the inner exporter takes them.
            kwargs: As the inner exporter takes them.
        """
        if CLOSING.is_set():
            # A metric reader collects once more at its end: what was flushed before
            # is in there again, so that is no loss.
            if self.signal != METRICS or self.struggling:
                self._lost(batch)
            return None
        before, _RUNNING.watched = _RUNNING.watched, self
        try:
            if self._pid != os.getpid():
                self._renew()
            result = self._send(batch, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - 1.39 raises where 1.45 returns
            self.reason = _secrets.redact(f"{type(error).__name__}: {error}")
            self._fail(batch)
            return None
        finally:
            _RUNNING.watched = before
        if _succeeded(result):
            self._succeed()
        else:
            self._fail(batch)
        return result

    def _send(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        while True:
            inner = self._inner
            result = inner.export(batch, *args, **kwargs)
            if inner is self._inner or _succeeded(result):
                return result

    def hurry(self) -> None:
        """Let a running export try again at once instead of when its pause is over.

        The pauses of an exporter double up to half a minute: an endpoint that is back
        would be missed by a process that ends.
        """
        inner = self._inner
        if self._pid != os.getpid() or not _is_otlp(inner):
            return
        before, _RUNNING.watched = _RUNNING.watched, self
        try:
            self._inner = renewed(inner)
            inner.shutdown()
        except Exception as error:  # noqa: BLE001 - an exporter's trouble at the end
            _guard.caught("flush", error)
        finally:
            _RUNNING.watched = before

    def abort(self) -> None:
        """Give up a running export that waits to try again."""
        before, _RUNNING.watched = _RUNNING.watched, self
        try:
            self._inner.shutdown()
        except Exception as error:  # noqa: BLE001 - an exporter's trouble at the end
            _guard.caught("shutdown", error)
        finally:
            _RUNNING.watched = before

    def shutdown(self, *args: Any, **kwargs: Any) -> Any:
        """Shut the inner exporter down, unless it is."""
        before, _RUNNING.watched = _RUNNING.watched, self
        try:
            return self._inner.shutdown(*args, **kwargs)
        finally:
            _RUNNING.watched = before

    def _lost(self, batch: Any) -> None:
        # Cumulative metrics are sent again with the next collection.
        lose(self.signal, len(batch) if isinstance(batch, Sequence) else 1)

    def _fail(self, batch: Any) -> None:
        self.struggling = True
        self._lost(batch)
        if not CLOSING.is_set():
            self.tell()

    def tell(self) -> None:
        """Say that this address does not take what is sent there, once."""
        state = self._state
        with LOST_LOCK:
            if state.told or self.signal in state.failing:
                state.failing.add(self.signal)
                return
            state.failing.add(self.signal)
            state.told = True
        _guard.LOG.warning(
            "stagelight cannot export %s to %s (%s). The program goes on; what is lost "
            "is counted in stagelight.telemetry.dropped. Start a collector there, or "
            "set OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL "
            "(http/protobuf on port 4318, grpc on 4317).",
            self.signal,
            self._address,
            self.reason or "no answer in time",
        )

    def _succeed(self) -> None:
        self.struggling = False
        self.accepted += 1
        state = self._state
        full = [queue for queue in BACKLOGS if queue.signal == self.signal]
        if self.signal in state.failing:
            with LOST_LOCK:
                state.failing.discard(self.signal)
                told, state.told = state.told, False
            for queue in full:
                queue.told = queue.dropped
            if told:
                _guard.LOG.warning(
                    "stagelight exports %s again; lost meanwhile: %s",
                    self.signal,
                    ", ".join(f"{number} {name}" for name, number in LOST.items()),
                )
        for queue in full:
            queue.tell()

    def _renew(self) -> None:
        # The parent's exporter is kept: closing it could close its connection.
        self._parents.append(self._inner)
        self._pid = os.getpid()
        if _is_otlp(self._inner):
            self._inner = renewed(self._inner)


def _is_otlp(inner: Any) -> bool:
    return type(inner).__module__.startswith("opentelemetry.exporter.otlp.")


def _succeeded(result: Any) -> bool:
    return bool(getattr(result, "name", "SUCCESS") == "SUCCESS")


class _Quiet(logging.Filter):
    """Keeps an exporter's own log lines back: ours says it once, with the reason."""

    def filter(self, record: logging.LogRecord) -> bool:
        watched = _RUNNING.watched
        if watched is None or record.levelno < logging.WARNING:
            return True
        watched.struggling = True
        watched.reason = _secrets.redact(record.getMessage())
        return False


_QUIET: Final = _Quiet()


def _logger_names(inner: Any) -> Iterator[str]:
    for base in type(inner).__mro__:
        if base.__module__.startswith("opentelemetry.exporter."):
            yield base.__module__


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
    return any(one.struggling for one in _WATCHED if one.signal == signal)


def hurry() -> None:
    """Let exports that wait to try again do it now."""
    for watched in _WATCHED:
        if watched.struggling:
            watched.hurry()


def close(late: Collection[str]) -> None:
    """Send nothing any more, and let running exports end.

    Args:
        late: Signals that could not be flushed in time.
    """
    for watched in _WATCHED:
        if watched.signal in late:
            watched.tell()
    CLOSING.set()
    for watched in _WATCHED:
        watched.abort()
