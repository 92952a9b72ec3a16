"""dramatiq: its actors and queues. A message's journey travels in its options.

Hooks before and after cannot hold a span safely, so the actor's own call is observed,
inside of a worker only: called as a function, an actor is the caller's affair.
"""

from __future__ import annotations

import threading
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
)
from stagelight.instrumentation.frameworks._sending import Parcel
from stagelight.instrumentation.frameworks._steps import Step, means, qualified, step

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._buffers import QueueRecord
    from stagelight._journey import Journey
    from stagelight.instrumentation.frameworks._delivery import Delivery
    from stagelight.instrumentation.frameworks._patches import Patches

_RULE: Final = "a dramatiq queue"
_DELAYED: Final = ".DQ"
#: How deep the hooks of one message may send others.
_NESTED: Final = 8


class _Now(threading.local):
    """The message that this thread processes, and its arrival until the actor runs."""

    message: Any = None
    delivery: Delivery | None = None
    arrived: Delivery | None = None
    #: Journey of the group whose messages are being sent.
    group: Journey | None = None

    def __init__(self) -> None:
        #: Messages that a broker is given now, one by the hooks of another.
        self.parcels: list[tuple[Any, Parcel]] = []


_NOW: Final = _Now()


def _broker(module: Any, patches: Patches) -> None:
    means("dramatiq.errors.Retry", _names.CANCELLED)
    means("dramatiq.errors.RateLimitExceeded", _names.REFUSED, "rate_limited")
    means("dramatiq.middleware.time_limit.TimeLimitExceeded", _names.TIMEOUT, None)
    means("dramatiq.middleware.shutdown.Shutdown", _names.CANCELLED)
    means("dramatiq_abort.middleware.Abort", _names.CANCELLED)
    patches.before(module.Broker, "emit_before", _before)
    patches.before(module.Broker, "emit_after", _after)


def _actor(module: Any, patches: Patches) -> None:
    patches.around(module.Actor, "__call__", _call)


def _worker(module: Any, patches: Patches) -> None:
    patches.after(module.Worker, "start", _started)
    patches.after(module.WorkerThread, "process_message", _processed)


def _composition(module: Any, patches: Patches) -> None:
    patches.within(module.group, "run", _run_group)


def _run_group(_group: Any, _args: Any, _kwargs: Any) -> Callable[[], None] | None:
    """The messages of a group are one run, and so one trace."""
    if _NOW.group is not None or is_inside():
        return None
    _NOW.group = here()
    return partial(setattr, _NOW, "group", None)


def _processed(_thread: Any, _args: Any, _kwargs: Any, _result: object) -> None:
    _NOW.message = _NOW.delivery = _NOW.arrived = None


def _started(worker: Any, _args: Any, _kwargs: Any, result: object) -> None:
    broker = worker.broker
    if isinstance(result, BaseException):
        return
    for name in broker.queues:
        broker_queue(name, _RULE, _asker(broker, name))


def _asker(broker: Any, name: str) -> Callable[[], int | None] | None:
    """Asks for a queue's size, where the broker has a way from another thread."""
    if hasattr(broker, "do_qsize"):
        return lambda: int(broker.do_qsize(name))
    queue: Any = broker.queues[name] if isinstance(broker.queues, dict) else None
    return (lambda: int(queue.qsize())) if hasattr(queue, "qsize") else None


def _record(name: str) -> QueueRecord:
    return broker_queue(name.removesuffix(_DELAYED), _RULE)


def _before(broker: Any, args: tuple[Any, ...], _kwargs: Any) -> None:
    signal: str = args[0]
    message: Any = args[1] if args[1:] else None
    if signal == "enqueue":
        _enqueue(broker, message)
    elif signal == "process_message":
        # One whose time has not come yet is put back by the consumer, before this.
        record = _record(message.queue_name)
        _NOW.message = message
        _NOW.delivery = _NOW.arrived = receive(message.options.get(KEY), record)


def _enqueue(broker: Any, message: Any) -> None:
    now, arrived = _NOW.message, _NOW.arrived
    again = now is not None and now.message_id == message.message_id
    if again:
        _step(broker.actors[message.actor_name]).retry()
    parcel = Parcel(
        message,
        _record(message.queue_name),
        message.options.get(KEY),
        _NOW.group if arrived is None else arrived.journey,
        count=not message.queue_name.endswith(_DELAYED),
    )
    message.options[KEY] = parcel.carrier
    # Nobody tells of those that the broker did not take.
    del _NOW.parcels[:-_NESTED]
    _NOW.parcels.append((message, parcel))


def _after(broker: Any, args: tuple[Any, ...], _kwargs: Any) -> None:
    signal: str = args[0]
    message: Any = args[1] if args[1:] else None
    if signal == "enqueue":
        _enqueued(message)
    elif signal == "skip_message":
        _step(broker.actors[message.actor_name]).drop("skipped", message, uncalled=True)


def _enqueued(message: Any) -> None:
    parcels = _NOW.parcels
    for number, (known, parcel) in enumerate(parcels):
        if known is message:
            parcel.accepted()
            del parcels[number]
            return


def _step(actor: Any) -> Step:
    function = qualified(actor.fn)
    return step(
        actor.actor_name,
        rule="a dramatiq actor",
        source=f"dramatiq {actor.actor_name}",
        function=function,
        event_id=_message_id,
    )


def _message_id(message: Any) -> object:
    return message.message_id


def _call(actor: Any, _args: Any, _kwargs: Any) -> Call | None:
    message, delivery = _NOW.message, _NOW.delivery
    if delivery is None or message.actor_name != actor.actor_name:
        return None
    _NOW.delivery = None
    return Call(_step(actor), message, delivery)


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "dramatiq.broker": _broker,
    "dramatiq.actor": _actor,
    "dramatiq.worker": _worker,
    "dramatiq.composition": _composition,
}
