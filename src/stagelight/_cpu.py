"""Processor time of the workers' threads, read from outside of them.

Costs the record path nothing: a thread is noted once, at its first stage call.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from stagelight._workers import ON_RETIRE, ON_SLOT, this_worker

if TYPE_CHECKING:
    from stagelight._slots import Worker

#: Worker -> the system's id of its thread, and the processor time it had before.
_NOTED: Final[dict[Worker, tuple[int, int]]] = {}
_LINUX: Final = sys.platform == "linux"


def thread_time(native_id: int) -> int | None:
    """Processor time of a thread of this process in nanoseconds.

    Args:
        native_id: The system's id of the thread.

    Returns:
        None where it has ended, or the platform cannot tell.
    """
    if not _LINUX:
        return None
    try:
        # The kernel's own form of a thread's clock: unlike pthread_getcpuclockid it
        # is an error, and no crash, where the thread has ended.
        return time.clock_gettime_ns((~native_id << 3) | 6)
    except OSError:
        return None


def spent(worker: Worker) -> int | None:
    """Processor time in nanoseconds that a worker's thread used since it was noted.

    Args:
        worker: Any worker.
    """
    noted = _NOTED.get(worker)
    if noted is None:
        return None
    now = thread_time(noted[0])
    return None if now is None else now - noted[1]


def _note() -> None:
    worker = this_worker()
    if worker not in _NOTED:
        _NOTED[worker] = threading.get_native_id(), time.thread_time_ns()


def _forget(worker: Worker) -> None:
    _NOTED.pop(worker, None)


def _after_fork() -> None:
    _NOTED.clear()


def register() -> None:
    """Note every worker from now on, where the platform tells of its time."""
    if _LINUX:
        ON_SLOT.append(_note)
        ON_RETIRE.append(_forget)
        os.register_at_fork(after_in_child=_after_fork)
