"""The ends of a process: exit, SIGTERM, fork and ``os._exit``, each with a flush."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, NoReturn

from stagelight import _guard

Flush = Callable[[float | None], None]

#: Seconds that a forked child may take to flush: its parent may be waiting.
_CHILD_PATIENCE: Final = 2.0
#: Providers of traces, metrics and logs that are flushed side by side.
_HELPERS: Final = 3
#: These start no thread from the moment on at which the main thread ends.
_EARLY: Final = (3, 12) <= sys.version_info < (3, 12, 2)
_INSTALLED: Final[list[Flush]] = []


def install(flush: Flush) -> None:
    """Flush at every end of this process and of its forked children, from now on.

    Args:
        flush: Takes the seconds it may take, or None for its own choice.
    """
    if _INSTALLED:
        return
    _INSTALLED.append(flush)
    atexit.register(_at_exit)
    at_end = getattr(threading, "_register_atexit", None)
    if _EARLY or at_end is None:
        _prepare_exit()
    elif sys.version_info >= (3, 12):
        at_end(_prepare_exit)
    _catch_sigterm()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_after_fork)
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        # No exit handler runs in it, where it was forked before it came here.
        flush_before_exit()


def _at_exit() -> None:
    for flush in _INSTALLED:
        flush(None)


# The first finalizer registers an exit handler, after which none runs any more. It is
# to come after ours and the providers': exporters close connections by finalizers.
weakref.finalize(_at_exit, id, None).atexit = False


class Helper:
    """A thread that can still work when no other can be started.

    From Python 3.12 on, none can be once the exit handlers run, so these are started
    when the main thread ends, just before.
    """

    idle: Final[list[Helper]] = []

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        thread = threading.Thread(
            target=self._work, name="stagelight-exit", daemon=True
        )
        thread.start()
        Helper.idle.append(self)

    def _work(self) -> None:
        while True:
            self._jobs.get()()

    def give(self, job: Callable[[], None]) -> None:
        """Do one more job."""
        self._jobs.put(job)


def start(job: Callable[[], None]) -> None:
    """Run a job in another thread, even while the interpreter ends.

    Args:
        job: What to run; where no thread can be had, it runs here.
    """
    try:
        threading.Thread(target=job, name="stagelight-flush", daemon=True).start()
    except RuntimeError:
        if Helper.idle:
            Helper.idle.pop().give(job)
        else:
            job()


def _prepare_exit() -> None:
    for _ in range(_HELPERS):
        with contextlib.suppress(RuntimeError):
            Helper()


def _catch_sigterm() -> None:
    """Flush before SIGTERM ends the process, unless the program handles it itself."""
    if threading.current_thread() is not threading.main_thread():
        return
    with contextlib.suppress(ValueError, OSError):
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(number: int, _frame: object) -> None:
    # In a thread of its own: the main thread may hold a lock that flushing needs.
    helper = threading.Thread(target=_at_exit, daemon=True)
    with contextlib.suppress(RuntimeError):
        helper.start()
        helper.join(10)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _after_fork() -> None:
    """Give a forked child its own identity, and a flush however it ends."""
    try:
        Helper.idle.clear()
        if _EARLY:
            _prepare_exit()
        _renew_identity()
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("fork", error)
    flush_before_exit()


def flush_before_exit() -> None:
    """Flush where this process, a child, ends by ``os._exit``, as most children do."""
    if getattr(os._exit, "__module__", None) != __name__:
        os._exit = _exit_after(os._exit)  # type: ignore[assignment]


def _exit_after(inner: Callable[[int], NoReturn]) -> Callable[[int], NoReturn]:
    def _exit(status: int) -> NoReturn:
        with contextlib.suppress(BaseException):
            for flush in _INSTALLED:
                flush(_CHILD_PATIENCE)
        inner(status)

    return _exit


def _renew_identity() -> None:
    """Change ``service.instance.id``: two processes must not share time series."""
    import uuid

    from opentelemetry.sdk.resources import PROCESS_PID, SERVICE_INSTANCE_ID

    identify({SERVICE_INSTANCE_ID: str(uuid.uuid4())}, {PROCESS_PID: os.getpid()})


def identify(
    fresh: dict[str, str | int], known: dict[str, str | int] | None = None
) -> None:
    """Change attributes of the resource, for what is exported from now on.

    All providers of a process share one resource, which the SDK has no way to replace.

    Args:
        fresh: New values.
        known: Values of attributes that are changed only where they are there.
    """
    from opentelemetry import _logs, metrics, trace
    from opentelemetry.attributes import BoundedAttributes
    from opentelemetry.sdk.resources import Resource

    meter: Any = metrics.get_meter_provider()
    found = [
        getattr(trace.get_tracer_provider(), "resource", None),
        getattr(_logs.get_logger_provider(), "resource", None),
        getattr(getattr(meter, "_sdk_config", None), "resource", None),
    ]
    for resource in found:
        if isinstance(resource, Resource):
            attributes: dict[str, Any] = {**resource.attributes, **fresh}
            for key, value in (known or {}).items():
                if key in attributes:
                    attributes[key] = value
            resource._attributes = BoundedAttributes(  # noqa: SLF001
                attributes=attributes
            )
