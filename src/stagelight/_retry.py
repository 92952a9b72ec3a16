"""What a stage says of the event it is working on: a retry, or a drop."""

from __future__ import annotations

from typing import Any

from stagelight import _frames, _guard, _names
from stagelight._errors import ConfigurationError
from stagelight._journey import enclosing
from stagelight._workers import this_worker


def retry() -> None:
    """Count that the running stage repeats its attempt; outside of one, nothing.

    The stage keeps one span and one duration for all attempts together.
    """
    try:
        worker = this_worker()
        here = enclosing(worker)
        if here is not None:
            worker.slot.retries += 1
            if hasattr(here, "attempts"):
                here.attempts += 1
            else:
                worker.attempts += 1
                worker.special = True
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("retry", error)


def drop(reason: str = "filtered", *, intentional: bool = True) -> None:
    """Count that the running stage discards its event; outside of one, nothing.

    The call's outcome becomes ``dropped``, and a log event tells of it when it ends.

    Args:
        reason: Why, from a small closed set: it becomes a metric attribute.
        intentional: False where the event is lost rather than filtered.

    Raises:
        ConfigurationError: The reason is no short word.
    """
    given: Any = reason
    if not isinstance(given, str) or not 0 < len(given) <= _names.MAX_NAME:
        raise ConfigurationError(
            f"stagelight.drop() got the reason {reason!r}; it takes a text of 1 to "
            f"{_names.MAX_NAME} characters, always one of few"
        )
    try:
        _frames.drop(this_worker(), _names.encodable(reason), intentional=intentional)
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("drop", error)
