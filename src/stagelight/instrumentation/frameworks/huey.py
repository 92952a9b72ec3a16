"""huey: its tasks, and its storage as a queue.

A message has no field to spare, and a worker without stagelight must be able to read
it. So the journey stands behind the pickle of the message, where ``pickle.loads``
does not look ("bytes past the pickled representation of the object are ignored").
"""

from __future__ import annotations

import json
import threading
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stagelight import _names
from stagelight.instrumentation.frameworks._brokers import broker_queue
from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import (
    KEY,
    here,
    is_inside,
    receive,
    root,
)
from stagelight.instrumentation.frameworks._sending import Parcel, sending
from stagelight.instrumentation.frameworks._steps import Step, means, step
from stagelight.instrumentation.frameworks._wrapping import observed

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._buffers import QueueRecord
    from stagelight._journey import Journey
    from stagelight.instrumentation.frameworks._patches import Patches

_CARRIER: Final = "_stagelight"
_ARRIVAL: Final = "_stagelight_arrival"
_MARK: Final = b"\n" + KEY.encode() + b" "
_RULE: Final = "a huey's queue"
#: The message that this thread makes or reads just now.
_MESSAGE: Final = threading.local()
#: Journey of the task whose follow-ups are being enqueued.
_CURRENT: Final[ContextVar[Journey | None]] = ContextVar("huey", default=None)


def _api(module: Any, patches: Patches) -> None:
    means("huey.exceptions.RetryTask", _names.CANCELLED)
    means("huey.exceptions.CancelExecution", _names.DROPPED)
    means("huey.exceptions.TaskLockedException", _names.REFUSED, "task_locked")
    means("huey.exceptions.RateLimitExceeded", _names.REFUSED, "rate_limited")
    means("huey.exceptions.TaskTimeout", _names.TIMEOUT, None)
    kind = module.Huey
    for name, pack in (("enqueue", _enqueue), ("add_schedule", _schedule)):
        patches.put(kind, name, sending(vars(kind)[name], pack))
    if "_enqueue_chord" in vars(kind):
        patches.within(kind, "_enqueue_chord", _chord)
    patches.before(kind, "serialize_task", _serialize)
    patches.after(kind, "deserialize_task", _deserialized)
    patches.after(kind, "dequeue", _dequeued)
    patches.before(kind, "_execute", _execute)
    patches.after(kind, "_execute", _executed)
    patches.before(kind, "_emit", _signal)


def _serializer(module: Any, patches: Patches) -> None:
    patches.replace(module.Serializer, "_serialize", _with_carrier)
    patches.before(module.Serializer, "_deserialize", _look_behind)


def _consumer(module: Any, patches: Patches) -> None:
    patches.after(module.Consumer, "__init__", _consuming)


def _consuming(consumer: Any, _args: Any, _kwargs: Any, _result: object) -> None:
    storage = consumer.huey.storage
    broker_queue(consumer.huey.name, _RULE, lambda: int(storage.queue_size()))


def _record(huey: Any) -> QueueRecord:
    return broker_queue(huey.name, _RULE)


def _enqueue(huey: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Parcel | None:
    task = args[0] if args else kwargs["task"]
    if not hasattr(task, "retries") or huey.immediate:
        return None  # a group or chord, whose tasks come one by one
    return _pack(task, huey, count=True)


def _schedule(
    huey: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Parcel | None:
    """A task for later waits in the queue from when it is due."""
    task = args[0] if args else kwargs["task"]
    if getattr(task, _CARRIER, None) is not None or huey.immediate:
        return None
    return _pack(task, huey, count=False)


def _chord(_huey: Any, _args: Any, _kwargs: Any) -> Callable[[], None] | None:
    """Tasks whose results one more task gets are one run, and so one trace."""
    if _CURRENT.get() is not None or is_inside():
        return None
    return partial(_CURRENT.reset, _CURRENT.set(here()))


def _pack(task: Any, huey: Any, *, count: bool) -> Parcel:
    parcel = Parcel(
        task,
        _record(huey),
        getattr(task, _CARRIER, None),
        _CURRENT.get(),
        count=count,
        forget=partial(task.__dict__.pop, _CARRIER, None),
    )
    setattr(task, _CARRIER, parcel.carrier)
    return parcel


def _serialize(_huey: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    task = args[0] if args else kwargs["task"]
    _MESSAGE.carrier = getattr(task, _CARRIER, None)


def _with_carrier(original: Any) -> Any:
    def _serialize(self: Any, data: Any) -> Any:
        found = original(self, data)
        known = _MESSAGE.__dict__.pop("carrier", None)
        if known and type(data).__name__ == "Message" and isinstance(found, bytes):
            return found + _MARK + json.dumps(known).encode()
        return found

    return _serialize


def _look_behind(_serializer: Any, args: tuple[Any, ...], kwargs: Any) -> None:
    data = args[0] if args else kwargs["data"]
    _MESSAGE.found = None
    if isinstance(data, bytes) and data[-1:] == b"}":
        _, mark, text = data.rpartition(_MARK)
        _MESSAGE.found = json.loads(text) if mark else None


def _deserialized(_huey: Any, _args: Any, _kwargs: Any, task: Any) -> None:
    known = _MESSAGE.__dict__.pop("found", None)
    if known is not None and not isinstance(task, BaseException):
        setattr(task, _CARRIER, known)


def _dequeued(huey: Any, _args: Any, _kwargs: Any, task: Any) -> None:
    if hasattr(task, "retries"):
        known = getattr(task, _CARRIER, None)
        setattr(task, _ARRIVAL, receive(known, _record(huey)))


def _step(task: Any) -> Step:
    kind = type(task)
    name = f"{kind.__module__}.{kind.__name__}"
    return step(task.name, rule="a huey task", source=f"huey {name}", function=name)


def _execute(huey: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Observe the task's own function, whose errors ``_execute`` keeps to itself."""
    task = args[0] if args else kwargs["task"]
    del huey
    delivery = task.__dict__.pop(_ARRIVAL, None) or root()
    _CURRENT.set(None if delivery is None else delivery.journey)
    call = Call(_step(task), task, delivery)
    task.execute = observed(task.execute, lambda *_: call)


def _executed(_huey: Any, args: tuple[Any, ...], kwargs: Any, _result: object) -> None:
    task = args[0] if args else kwargs["task"]
    task.__dict__.pop("execute", None)
    _CURRENT.set(None)


def _signal(_huey: Any, args: tuple[Any, ...], _kwargs: Any) -> None:
    signal, task = args[0], args[1]
    if signal == "retrying":
        _step(task).retry()
    elif signal in {"revoked", "expired"}:
        _step(task).drop(signal, task, uncalled=True)


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "huey.api": _api,
    "huey.serializer": _serializer,
    "huey.consumer": _consumer,
}
