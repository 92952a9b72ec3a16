"""What is observed already, by identity: equality is the program's own affair."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from stagelight._buffers import PoolRecord, QueueRecord

T = TypeVar("T")


class Known(Generic[T]):
    """Maps objects to what is known of them, and keeps none of them alive."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Any], T]] = {}

    def get(self, target: object) -> T | None:
        """What is known of an object, None where nothing is.

        Args:
            target: Any object, whether it has a hash or can be referred to weakly.
        """
        found = self._entries.get(id(target))
        return found[1] if found is not None and found[0]() is target else None

    def add(self, target: object, value: T) -> None:
        """Keep what is known of an object for as long as it lives.

        Args:
            target: An object that can be referred to weakly.
            value: What is known of it.
        """
        key = id(target)

        def forget(gone: weakref.ref[Any]) -> None:
            found = self._entries.get(key)
            if found is not None and found[0] is gone:
                del self._entries[key]

        self._entries[key] = (weakref.ref(target, forget), value)


#: Queues and executors that are observed already -> their record.
OBSERVED: Final[Known[QueueRecord | PoolRecord]] = Known()
