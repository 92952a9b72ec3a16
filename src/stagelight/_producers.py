"""Which stage an asyncio task hands an event on from, where no journey says it.

A thread keeps the stage that it ran last. Tasks share one, and without traces their
calls leave nothing behind. So while it is not known who feeds a queue, the calls of its
loop's thread take the full path, and leave their stage with the task.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from stagelight._journey import TASK_TURN, enclosing, in_loop
from stagelight._tracer import TRACER

if TYPE_CHECKING:
    from stagelight._records import StageRecord
    from stagelight._slots import Slot, Worker

#: Bit of ``Worker.alert``: the thread has a search.
SEEKING: Final = 128
#: Events put without a known producer after which a queue's search is over.
_PUTS: Final = 256
#: Calls on the full path after which a thread's search is over, whatever was found.
_CALLS: Final = 8192
#: The stage that a task ran last, and the search in which it was noted.
_LAST: Final[ContextVar[tuple[Search, Slot] | None]] = ContextVar(
    "stagelight_last_stage", default=None
)


class Search:
    """A thread's search for who feeds the queues of its tasks.

    Attributes:
        left: Calls until it is over.
        open: The queues that it is for.
    """

    __slots__ = ("left", "open")

    def __init__(self) -> None:
        self.left = _CALLS
        self.open: set[Producers] = set()


class Producers:
    """The stages that hand on to one queue of tasks.

    Args:
        name: Of the queue.
    """

    __slots__ = ("left", "name", "stages")

    def __init__(self, name: str) -> None:
        self.name = name
        self.left = _PUTS
        self.stages: set[StageRecord] = set()

    def look(self, worker: Worker) -> None:
        """Find who put just now, while there is something to find.

        Args:
            worker: The thread of the loop.
        """
        self.left -= 1
        search = worker.search
        if TRACER.on or not self.left:
            self.left = 0
            if search is not None:
                search.open.discard(self)
                if not search.open:
                    _end(worker)
            return
        if enclosing(worker) is not None or TASK_TURN.get() is not None:
            return  # told already
        if search is None:
            search = worker.search = Search()
        search.open.add(self)
        worker.alert |= SEEKING
        last = _LAST.get()
        if last is not None and last[0] is search:
            stage = last[1].stage
            stage.outputs.add(self.name)
            self.stages.add(stage)

    def only(self) -> Slot | None:
        """This thread's slot of the one stage that feeds the queue, if it is one."""
        return next(iter(self.stages)).slot() if len(self.stages) == 1 else None


def note_call(worker: Worker, slot: Slot, *, source: bool = True) -> None:
    """Leave a stage with the running task that calls it, while there is a search.

    Args:
        worker: This thread.
        slot: Of the stage.
        source: Whether the call is outermost, and of an event that nobody fetched.
    """
    search = worker.search
    if search is None:
        return
    if source and in_loop():
        _LAST.set((search, slot))
    search.left -= 1
    if not search.left:
        for queue in search.open:
            queue.left //= 2
        _end(worker)


def _end(worker: Worker) -> None:
    worker.search = None
    worker.alert &= ~SEEKING
