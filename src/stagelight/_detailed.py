"""What the level detailed adds: processor time and batch sizes of calls.

A thread's processor time is charged as it goes from call to call: what it used since
it entered or came back to a stage is that stage's own, nested stages excluded.
"""

from __future__ import annotations

from time import thread_time_ns
from typing import TYPE_CHECKING, Any, Final

from stagelight._cells import NANOSECONDS
from stagelight._distribution import Distribution

if TYPE_CHECKING:
    from stagelight._slots import Slot, Worker

#: Only these are batches, for sure; to ask others for a length could run any code.
_BATCHES: Final = frozenset({list, set, frozenset})
#: A call whose processor time is not measured.
UNMEASURED: Final = -1


class Extra:
    """What was measured of one stage's calls, beside their durations.

    Attributes:
        cpu: Nanoseconds of processor time, nested stages excluded.
        calls: Calls (for a generator: items) that it was measured for.
        sizes: How many events the calls took that took a batch, one as a second.
    """

    __slots__ = ("calls", "cpu", "sizes")

    def __init__(self) -> None:
        self.cpu = 0
        self.calls = 0
        self.sizes = Distribution()

    def absorb(self, other: Extra) -> None:
        """Add what another worker measured."""
        self.cpu += other.cpu
        self.calls += other.calls
        self.sizes.merge(other.sizes)


def begin(worker: Worker, outer: Slot | None) -> int:
    """Begin to charge a call, or a step of one.

    Args:
        worker: Its thread.
        outer: Slot of the call around it, None without one.

    Returns:
        What ``end`` needs.
    """
    now = thread_time_ns()
    before, worker.cpu = worker.cpu, now
    if before and outer is not None and outer.extra is not None:
        outer.extra.cpu += now - before
    return before if outer is not None else 0


def end(slot: Slot, worker: Worker, before: int) -> None:
    """End to do so.

    Args:
        slot: Slot of its stage.
        worker: Its thread.
        before: As ``begin`` returned it.
    """
    now = thread_time_ns()
    extra_of(slot).cpu += now - worker.cpu
    worker.cpu = now if before else 0


def count(slot: Slot, event: Any) -> None:
    """Count one call that is measured, and the size of its batch.

    Args:
        slot: Slot of its stage.
        event: What it takes.
    """
    extra = extra_of(slot)
    extra.calls += 1
    if type(event) in _BATCHES:
        extra.sizes.record(len(event) * NANOSECONDS)


def extra_of(slot: Slot) -> Extra:
    """A slot's own, made on its first use.

    Args:
        slot: The slot.
    """
    extra = slot.extra
    if extra is None:
        extra = slot.extra = Extra()
    return extra
