"""The one thread that writes: batches, retries, and counts what it cannot write."""

from __future__ import annotations

import sqlite3
import threading
import time
from queue import Empty, SimpleQueue
from time import thread_time_ns as spent
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight._failures._schema import StoreError
from stagelight._failures._store import Batch, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._capture import Capture
    from stagelight._failures._draft import Draft
    from stagelight._failures._payloads import Payload

#: What ``stagelight.telemetry.dropped`` calls failed events.
SIGNAL: Final = "failures"
#: Seconds between two batches: at least, at most, and as a multiple of what the last
#: one took. Each takes the interpreter lock from the pipeline some dozen times.
_PAUSE: Final = 0.5
_LONG_PAUSE: Final = 1.0
_TIMES: Final = 40
#: Waiting events at which the next batch comes at once.
_MANY: Final = 1_000
_BATCH: Final = 2_000
#: Seconds until a store that could not be written is tried again: first, and at most.
_RETRY: Final = 1.0
_PATIENCE: Final = 30.0
#: Connections of the parent: closing them in a child could break the parent's locks.
_INHERITED: Final[list[Any]] = []


class Writer:
    """Writes what it is given, in a thread of its own that the first event starts.

    Args:
        capture: The settings.
        describe: Says what this process is.
        more: Gives what was counted besides.
        charge: Told of the processor time that it took.
        finish: Makes of an event as it was taken what is kept of it.

    Attributes:
        waiting: Failed events that are not written yet.
        waiting_bytes: Their size.
    """

    def __init__(
        self,
        capture: Capture,
        describe: Callable[[], dict[str, Any]],
        more: Callable[[], Batch],
        charge: Callable[[int], None],
        finish: Callable[[Payload], Payload],
    ) -> None:
        self._capture = capture
        self._describe = describe
        self._process: dict[str, Any] | None = None
        self._more = more
        self._charge = charge
        self._finish = finish
        self._queue: SimpleQueue[Draft | threading.Event | None] = SimpleQueue()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._store: Store | None = None
        self._work = threading.RLock()
        self._next_try = 0.0
        self._retry = _RETRY
        self._woken = False
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._pause = _PAUSE
        #: What could not be written, and is only counted.
        self._unwritten = 0
        self._held = Batch()
        self.waiting = 0
        self.waiting_bytes = 0

    def give(self, one: Draft, size: int) -> None:
        """Write a failed event soon.

        Args:
            one: The event.
            size: Bytes that it takes until then.
        """
        if self._process is None:
            self._process = self._describe()
        with self._lock:
            self.waiting += 1
            self.waiting_bytes += size
        self._queue.put(one)
        if self.waiting == _MANY:
            self._hurry.set()
        if self._thread is None:
            self._start()

    def wake(self) -> None:
        """Write soon what was counted."""
        if not self._woken:
            self._woken = True
            self._queue.put(None)
            self._start()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was given is written.

        Args:
            timeout: Seconds.

        Returns:
            Whether it is on the disk.
        """
        if self._thread is None and self._queue.empty():
            return True
        done = threading.Event()
        self._queue.put(done)
        self._hurry.set()
        if not self._start():
            while not done.is_set():
                self._drain()
        return done.wait(timeout) and not self._unwritten

    def close(self) -> None:
        """End the thread and close the store; the next event would begin anew."""
        thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():
            self._stop.set()
            self._hurry.set()
            self._queue.put(None)
            thread.join(_PATIENCE)
        self._stop.clear()
        with self._work:
            if self._store is not None:
                self._store.close()
                self._store = None

    def leave(self) -> None:
        """Let go, in a child, of what belongs to the parent."""
        _INHERITED.append(self._store)

    def _start(self) -> bool:
        thread = self._thread
        if thread is not None and thread.is_alive():
            return True
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return True
            thread = threading.Thread(
                target=self._run, name="stagelight-failures", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the interpreter ends: a flush will write
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        while not self._stop.is_set():
            one = self._queue.get()
            flushed = isinstance(one, threading.Event)
            if not flushed:
                self._hurry.wait(self._pause)
            self._hurry.clear()
            began = time.monotonic()
            self._drain(one)
            took = (time.monotonic() - began) * _TIMES
            self._pause = min(max(took, _PAUSE), _LONG_PAUSE)

    def _drain(self, first: Draft | threading.Event | None = None) -> None:
        """Write what waits now."""
        with self._work:
            began = spent()
            try:
                self._write_all(first)
            except Exception as error:  # noqa: BLE001 - the thread must go on
                _guard.caught("failures", error)
            self._charge(spent() - began)

    def _write_all(self, first: Draft | threading.Event | None) -> None:
        waiting = [] if first is None else [first]
        while len(waiting) < _BATCH:
            try:
                one = self._queue.get_nowait()
            except Empty:
                break
            if one is not None:
                waiting.append(one)
        self._woken = False
        drafts = [one for one in waiting if not isinstance(one, threading.Event)]
        taken = sum(one.size for one in drafts)
        batch = self._more()
        batch.drafts = drafts
        try:
            if batch:
                self._write(batch)
        finally:
            with self._lock:
                self.waiting -= len(drafts)
                self.waiting_bytes -= taken
            for one in waiting:
                if isinstance(one, threading.Event):
                    one.set()

    def _write(self, batch: Batch) -> None:
        now = time.monotonic()
        if now < self._next_try:
            self._lose(batch)
            return
        try:
            for one in batch.drafts:
                one.payload = self._finish(one.payload)
            if self._store is None:
                self._store = Store(self._capture, self._process or {})
            self._store.write(self._with_held(batch))
        except (OSError, sqlite3.Error, StoreError) as error:
            self._lose(batch)
            self._next_try = now + self._retry
            self._retry = min(self._retry * 2, _PATIENCE)
            if self._store is not None:
                self._store.close()
                self._store = None
            _guard.warn_once(
                f"failures {self._capture.path}",
                "stagelight keeps no failed events for now (%s: %s); they are counted "
                "in stagelight.telemetry.dropped, and the store %s is tried again",
                type(error).__name__,
                error,
                self._capture.path,
            )
        except Exception:
            self._lose(batch)  # an error of ours must not be taken for a success
            raise
        else:
            self._unwritten = 0
            self._held = Batch()
            self._retry = _RETRY

    def _with_held(self, batch: Batch) -> Batch:
        """A batch, and what earlier ones counted that could not be written."""
        if not self._held:
            return batch
        whole = Batch()
        whole.drafts, whole.traits = batch.drafts, batch.traits
        for one in (self._held, batch):
            for reason, number in one.dropped.items():
                whole.dropped[reason] = whole.dropped.get(reason, 0) + number
            for group, counted in one.left_out.items():
                whole.leave_out(group, *counted)
        return whole

    def _lose(self, batch: Batch) -> None:
        """Only count the events of a batch that cannot be written."""
        number = len(batch.drafts)
        held = self._held = self._with_held(batch) if self._held else batch
        for one in batch.drafts:
            cause = one.cause
            held.leave_out(cause.group, cause.identity, 1, one.time, one.time)
        held.drafts, held.traits = [], {}
        if number:
            held.dropped["disk"] = held.dropped.get("disk", 0) + number
        self._unwritten = sum(held.dropped.values())
        if number:
            _guard.LOST[SIGNAL] = _guard.LOST.get(SIGNAL, 0) + number
