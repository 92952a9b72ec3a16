"""A wrapper for ``queue.SimpleQueue``, a C type that cannot be observed in place."""

from __future__ import annotations

import queue
import weakref
from typing import TYPE_CHECKING, Generic, TypeVar

from stagelight._queue._flow import (
    Flow,
    begin_wait_for_event,
    end_wait_for_event,
)
from stagelight._queue._mirror import IdentityMirror
from stagelight._workers import this_worker

if TYPE_CHECKING:
    from stagelight._buffers import QueueRecord

T = TypeVar("T")
_SLACK = 1024


class ObservedSimpleQueue(Generic[T]):
    """A ``queue.SimpleQueue`` with the same methods, observed.

    The queue inside holds the user's own objects, so code that still uses the inner
    queue directly works as before; what it puts or gets is not recorded. ``put`` takes
    no lock and stays reentrant.
    """

    __slots__ = ("__weakref__", "_flow", "_inner")

    __module__ = "stagelight"

    def __init__(self, inner: queue.SimpleQueue[T], record: QueueRecord) -> None:
        self._inner = inner
        self._flow = Flow(record, IdentityMirror())
        ref = weakref.ref(self)
        self._flow.ask(
            lambda: None if (own := ref()) is None else own.qsize(), lambda: None
        )

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002, FBT001, FBT002
        """Put an item; never blocks.

        Args:
            item: The item.
            block: Ignored, as in the standard library.
            timeout: Ignored, as in the standard library.
        """
        size = self._inner.qsize() + 1
        # First the carrier, then the item: who gets the item finds its carrier. What
        # others put or fetch meanwhile makes the sizes differ, hence the slack.
        self._flow.put(item, size, slack=size + _SLACK)
        self._inner.put(item)

    def put_nowait(self, item: T) -> None:
        """Put an item; the same as ``put``."""
        self.put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> T:  # noqa: FBT001, FBT002
        """Get an item.

        Args:
            block: Whether to wait for one.
            timeout: Seconds to wait at most, None for ever.

        Raises:
            queue.Empty: None was there in time.
        """
        empty = False
        try:
            item = self._inner.get(block=False)
        except queue.Empty:
            if not block:
                raise
            empty = True
        if empty:  # outside of ``except``: else it were the next one's context
            worker = this_worker()
            begin_wait_for_event(worker)
            try:
                item = self._inner.get(block=True, timeout=timeout)
            finally:
                end_wait_for_event(worker)
        self._flow.got(item)
        return item

    def get_nowait(self) -> T:
        """Get an item that is there now, or raise ``queue.Empty``."""
        return self.get(block=False)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """That of the queue inside, for ``isinstance``."""
        return type(self._inner)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def qsize(self) -> int:
        """How many items are in the queue."""
        return self._inner.qsize()

    def empty(self) -> bool:
        """Whether the queue is empty."""
        return self._inner.empty()
