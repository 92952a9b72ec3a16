"""How an exception is counted: its outcome, its type, and whose event it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from stagelight import _names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stagelight._records import StageRecord

#: File name of every compiled wrapper, by which a traceback shows observed calls. The
#: words behind it make ``warnings`` and ``logging`` pass over such frames where the
#: program counts its callers by ``stacklevel``.
CODE_FILE: Final = "<stagelight, skipped as importlib._bootstrap is>"
_MAX_ID: Final = 256
_MAX_MESSAGE: Final = 16_384

#: Path to an event's identifier, where one is configured.
EVENT_KEY: Final[list[str]] = []

_BY_NAME: Final = {
    "asyncio.exceptions.CancelledError": (_names.CANCELLED, ""),
    "concurrent.futures._base.CancelledError": (_names.CANCELLED, ""),
    "builtins.GeneratorExit": (_names.CANCELLED, ""),
    "builtins.KeyboardInterrupt": (_names.CANCELLED, ""),
    "builtins.SystemExit": (_names.CANCELLED, ""),
    "greenlet.GreenletExit": (_names.CANCELLED, ""),
    "trio.Cancelled": (_names.CANCELLED, ""),
    "queue.Full": (_names.REFUSED, _names.QUEUE_FULL),
    "_queue.Full": (_names.REFUSED, _names.QUEUE_FULL),
    "asyncio.queues.QueueFull": (_names.REFUSED, _names.QUEUE_FULL),
    "queue.ShutDown": (_names.REFUSED, _names.QUEUE_CLOSED),
    "asyncio.queues.QueueShutDown": (_names.REFUSED, _names.QUEUE_CLOSED),
    "builtins.TimeoutError": (_names.TIMEOUT, None),
    "asyncio.exceptions.TimeoutError": (_names.TIMEOUT, None),
    "concurrent.futures._base.TimeoutError": (_names.TIMEOUT, None),
}
#: Weakly, for a class made in a function may hold anything alive.
_KNOWN: Final[WeakKeyDictionary[type, tuple[str, str | None]]] = WeakKeyDictionary()


def classify(stage: StageRecord, error: BaseException) -> tuple[str, str]:
    """Outcome and ``error.type`` of an exception that left a stage.

    By name, so that asyncio and concurrent.futures need not be imported for it.

    Args:
        stage: The stage, which bounds the number of its error types.
        error: The exception.
    """
    kind = type(error)
    try:
        known = _KNOWN.get(kind)
        if known is None:
            known = _KNOWN[kind] = _by_name(kind)
    except TypeError:  # a metaclass may make classes that have no hash
        known = _by_name(kind)
    outcome, code = known
    return outcome, stage.error_type(error) if code is None else code


def _by_name(kind: type) -> tuple[str, str | None]:
    for base in kind.__mro__:
        known = _BY_NAME.get(f"{base.__module__}.{base.__qualname__}")
        if known is not None:
            return known
    return _names.FAILURE, None


def message(error: BaseException) -> str:
    """The beginning of an exception's text, which may itself fail to be made."""
    try:
        return _names.encodable(str(error)[:_MAX_MESSAGE])
    except Exception:  # noqa: BLE001 - the user's own __str__
        return ""


def reported(error: BaseException) -> bool:
    """Whether an inner observed call raised this exception and reported it already.

    Its traceback then holds a wrapper's frame below the one that asks.
    """
    trace = error.__traceback__
    own = False
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == CODE_FILE:
            if own:
                return True
            own = True
        trace = trace.tb_next
    return False


def look_up(event: Any, key: str) -> Any:
    """What an event has under a key, or as an attribute; None where it has nothing.

    Args:
        event: The event.
        key: The key.
    """
    if isinstance(event, (str, bytes, int, float, list, tuple, type(None))):
        return None
    if isinstance(event, (dict, Mapping)):
        return event.get(key)
    return getattr(event, key, None)


def look_along(path: Sequence[str], event: Any) -> Any:
    """What an event has along a path of keys or attributes, None where it ends.

    Args:
        path: Keys or attributes.
        event: The event.
    """
    for key in path:
        event = look_up(event, key)
    return event


def event_id(stage: StageRecord, event: Any) -> str | None:
    """The identifier of an event, or None where it has none.

    Taken from the stage's own ``event_id``, else from the configured path, else from
    ``event["id"]``, else from ``event.id``.
    """
    try:
        if stage.event_id is not None:
            value = stage.event_id(event)
        else:
            value = event
            for key in EVENT_KEY or ("id",):
                value = look_up(value, key)
        if value is None or callable(value):
            return None
        return _names.encodable(str(value)[:_MAX_ID])
    except Exception:  # noqa: BLE001 - a property of the user's may raise anything
        return None


def attempt(event: Any, retries: int) -> int:
    """Which attempt this was: the event's own count, else from noted retries."""
    try:
        value = look_up(event, "attempt")
    except Exception:  # noqa: BLE001 - a property of the user's may raise anything
        value = None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value + retries
    return 1 + retries
