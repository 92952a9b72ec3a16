"""Pauses in the SDK's own part of a collection, as it makes points of our instruments.

For 256 stages that takes longer than a worker should wait for the interpreter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stagelight import _guard, _names
from stagelight._metrics._observables import COLLECTION

if TYPE_CHECKING:
    from collections.abc import Callable


def slice_up(consumer: Any, reader: Any) -> None:
    """Let a reader's storage pause between our instruments.

    Args:
        consumer: The SDK's measurement consumer.
        reader: One of its readers.
    """
    try:
        storage = consumer._reader_storages[reader]  # noqa: SLF001
        found = storage._instrument_view_instrument_matches  # noqa: SLF001
        for instrument, matches in list(found.items()):
            if instrument.instrumentation_scope.name == _names.SCOPE:
                for match in matches:
                    if "collect" not in vars(match):
                        match.collect = _pausing(match.collect)
    except Exception as error:  # noqa: BLE001 - an SDK with another inside
        _guard.caught("slices", error)


def _pausing(collect: Callable[..., Any]) -> Callable[..., Any]:
    def collect_later(*args: Any, **kwargs: Any) -> Any:
        look = COLLECTION.look
        if look is not None:
            look.slices.breathe()
        return collect(*args, **kwargs)

    return collect_later
