"""rq: its queues and jobs. A job's journey travels in ``job.meta``.

The work horse that performs a job is forked or spawned for it and ends by ``os._exit``,
before which it flushes, as every child does. A job that waited for another one goes on
with the journey of that one.
"""

from __future__ import annotations

import pickle
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard, _names
from stagelight.instrumentation import _children
from stagelight.instrumentation.frameworks._brokers import broker_queue
from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import (
    KEY,
    continued,
    is_inside,
    receive,
    root,
)
from stagelight.instrumentation.frameworks._sending import Parcel, sending
from stagelight.instrumentation.frameworks._steps import Step, means, step

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._buffers import QueueRecord
    from stagelight._journey import Journey
    from stagelight.instrumentation.frameworks._patches import Patches

_RULE: Final = "an rq queue"
#: What travelled with the job that this worker performed last: what it enqueues
#: afterwards waited for that one, or is enqueued by its callbacks.
_BEFORE: Final[ContextVar[Any]] = ContextVar("rq", default=None)


def _queues(module: Any, patches: Patches) -> None:
    for name, pack in (("_enqueue_async_job", _enqueue), ("schedule_job", _schedule)):
        patches.put(module.Queue, name, sending(vars(module.Queue)[name], pack))


def _jobs(module: Any, patches: Patches) -> None:
    means("rq.timeouts.BaseTimeoutException", _names.TIMEOUT, None)
    patches.around(module.Job, "perform", _perform)
    patches.before(module.Job, "retry", _retry)


def _workers(module: Any, patches: Patches) -> None:
    kinds = {module.Worker, *module.Worker.__mro__}
    for kind in kinds:
        if "work" in vars(kind) and kind.__module__.startswith("rq."):
            patches.before(kind, "work", _work)

    spawning = getattr(module, "SpawnWorker", None)
    if "_dump_worker_config" in vars(spawning or object):
        patches.replace(spawning, "_dump_worker_config", _telling)


def _telling(inner: Any) -> Any:
    """Worker settings that also make the spawned work horse observe."""

    def dump(worker: Any) -> Any:
        plain = inner(worker)
        try:
            told = _children.beginning()
            if told is not None:
                kind, values = pickle.loads(plain)  # noqa: S301 - rq's own, of just now
                return pickle.dumps((kind, {"_stagelight": told, **values}))
        except Exception as error:  # noqa: BLE001 - never into rq
            _guard.caught("spawn", error)
        return plain

    return dump


def _work(worker: Any, _args: Any, _kwargs: Any) -> None:
    """The worker tells the size of its queues; its horses are too short-lived."""
    for queue in worker.queues:
        broker_queue(queue.name, _RULE, _asker(queue))


def _asker(queue: Any) -> Callable[[], int]:
    return lambda: int(queue.count)


def _job(queue: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    del queue
    return args[0] if args else kwargs["job"]


def _record(queue: Any) -> QueueRecord:
    return broker_queue(queue.name, _RULE)


def _enqueue(queue: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Parcel:
    job = _job(queue, args, kwargs)
    known = job.meta.get(KEY)
    journey = None if known or is_inside() else continued(_BEFORE.get())
    return _pack(job, queue, known, journey)


def _schedule(
    queue: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Parcel | None:
    """A job for later is of the journey that is now; its wait begins when due."""
    job = _job(queue, args, kwargs)
    if KEY in job.meta:
        return None
    # The scheduler counts it, when it puts it in.
    return _pack(job, queue, count=False)


def _pack(
    job: Any,
    queue: Any,
    known: Any = None,
    journey: Journey | None = None,
    *,
    count: bool = True,
) -> Parcel:
    forget = partial(job.meta.pop, KEY, None)
    record = _record(queue)
    parcel = Parcel(job, record, known, journey, count=count, forget=forget)
    job.meta[KEY] = parcel.carrier
    return parcel


def _step(job: Any) -> Step:
    name = job.func_name
    return step(
        name.rpartition(".")[2], rule="an rq job", source=f"rq {name}", function=name
    )


def _perform(job: Any, _args: Any, _kwargs: Any) -> Call:
    if not job.worker_name:  # performed where it is enqueued: the queue is not async
        return Call(_step(job), job, root())
    at = job.enqueued_at
    sent = int(at.timestamp() * 1e9) if at is not None else None
    known = job.meta.get(KEY)
    record = broker_queue(job.origin, _RULE)
    delivery = receive(known, record, sent_ns=None if known else sent)
    _BEFORE.set(known)
    return Call(_step(job), job, delivery)


def _retry(job: Any, _args: Any, _kwargs: Any) -> None:
    _step(job).retry()


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "rq.queue": _queues,
    "rq.job": _jobs,
    "rq.worker": _workers,
}
