"""One exporter, watched: losses counted, one warning, fork-safe."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from stagelight import _guard, _secrets
from stagelight._backlog import BACKLOGS, LOST_LOCK, METRICS, lose
from stagelight._guard import LOST
from stagelight._renewal import renewed

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Set while the process ends and time is up: nothing is sent any more.
CLOSING: Final = threading.Event()
#: Every exporter that is watched.
WATCHED: Final[list[Watched]] = []
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
#: Logs each request, where debugging is on.
_CLIENT: Final = "urllib3.connectionpool"


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
        self._sending = 0
        self._loggers = [logging.getLogger(name) for name in _logger_names(inner)]
        for logger in (logging.getLogger(_CLIENT), *self._loggers):
            # First, for the exporter's own filter hides what looks like a repetition.
            if _QUIET not in logger.filters:
                logger.filters.insert(0, _QUIET)
        WATCHED.append(self)

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
            if self.signal != METRICS:  # the last flush had them all
                lose(self.signal, _number(batch))
            return None
        for logger in self._loggers:
            logger.disabled = False  # as dictConfig leaves it: it tells us of trouble
        before, _RUNNING.watched = _RUNNING.watched, self
        self._sending = _number(batch)
        self.reason = ""
        try:
            if self._pid != os.getpid():
                self._renew()
            result = self._send(batch, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - 1.39 raises where 1.45 returns
            self.reason = _secrets.redact(f"{type(error).__name__}: {error}")
            self._fail()
            return None
        finally:
            _RUNNING.watched = before
        if _succeeded(result):
            self._succeed()
        else:
            self._fail()
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

    def give_up(self) -> None:
        """Count what is being sent as lost: it may never come back."""
        with LOST_LOCK:
            number, self._sending = self._sending, 0
        if number:
            lose(self.signal, number)

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

    def _fail(self) -> None:
        self.struggling = True
        self.give_up()
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
        _guard.warn(
            "stagelight cannot export %s to %s (%s). The program goes on; what is lost "
            "is counted in stagelight.telemetry.dropped. Start a collector there, or "
            "set OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL "
            "(http/protobuf on port 4318, grpc on 4317).",
            self.signal,
            self._address,
            self.reason or "no answer in time",
        )

    def _succeed(self) -> None:
        self._sending = 0
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
                _guard.warn(
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


def _number(batch: Any) -> int:
    """Items of a batch; cumulative metrics are sent again with the next collection."""
    return len(batch) if isinstance(batch, Sequence) else 1


class _Quiet(logging.Filter):
    """Keeps an exporter's own log lines out of the program's log.

    What goes wrong ours says once, with the reason.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        watched = _RUNNING.watched
        if watched is None:
            return True
        if record.levelno >= logging.WARNING and record.name != _CLIENT:
            watched.struggling = True
            # The first one says why; later ones, that it was tried again in vain.
            said = watched.reason or record.getMessage()
            watched.reason = _secrets.redact(said)
        return False


_QUIET: Final = _Quiet()


def _logger_names(inner: Any) -> Iterator[str]:
    for base in type(inner).__mro__:
        if base.__module__.startswith("opentelemetry.exporter."):
            yield base.__module__
