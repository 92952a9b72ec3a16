"""The threads of this process as workers, from their first stage call to their end."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from stagelight._slots import NO_SLOT, RETIRED, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

WORKERS: Final[set[Worker]] = set()
THIS: Final = threading.local()
#: Alert bits that every worker starts with.
ALERT: Final = [0]
#: Told when a thread calls a stage for the first time.
ON_SLOT: Final[list[Callable[[], None]]] = []
#: Told when a worker's thread ends, before its slots are folded.
ON_RETIRE: Final[list[Callable[[Worker], None]]] = []


class _Leash:
    """Lives in a thread's local storage, so that it dies with the thread."""

    __slots__ = ("worker",)

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def __del__(self) -> None:
        try:
            # A forked child drops the parent's other threads: those slots are gone.
            if self.worker.pid == os.getpid():
                retire(self.worker)
        except Exception:  # noqa: BLE001, S110 - as the interpreter goes down
            pass


def this_worker() -> Worker:
    """This thread's worker, made on its first use."""
    try:
        return THIS.leash.worker  # type: ignore[no-any-return]
    except AttributeError:
        worker = Worker(ALERT[0])
        WORKERS.add(worker)
        THIS.leash = _Leash(worker)
        return worker


def retire(worker: Worker) -> None:
    """Fold the slots of an ended thread."""
    for tell in ON_RETIRE:
        tell(worker)
    attended = worker.observed()
    for slot in worker.slots:
        slot.attended = attended
        slot.stage.fold(slot)
    worker.slots = []
    worker.slot = NO_SLOT
    worker.alert |= RETIRED
    WORKERS.discard(worker)


def set_alert(bit: int, *, on: bool) -> None:
    """Set or clear an alert bit for all workers, present and future."""
    ALERT[0] = ALERT[0] | bit if on else ALERT[0] & ~bit
    for worker in list(WORKERS):
        worker.alert = worker.alert | bit if on else worker.alert & ~bit


def after_fork() -> None:
    """Keep only the thread that forked, with nothing open."""
    worker = getattr(getattr(THIS, "leash", None), "worker", None)
    WORKERS.clear()
    if worker is not None:
        worker.pid = os.getpid()
        worker.reset(ALERT[0])
        WORKERS.add(worker)
