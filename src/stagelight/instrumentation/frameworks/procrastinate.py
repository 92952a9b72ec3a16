"""procrastinate: its tasks, by the official worker middleware.

A job's row has no field for more. But a lock that no other job has changes nothing, for
a worker without us neither: where a job has none, its journey travels as such a lock.
"""

from __future__ import annotations

import json
import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight._aside import step_aside
from stagelight.instrumentation.frameworks._brokers import broker_queue
from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import KEY, receive
from stagelight.instrumentation.frameworks._sending import Parcel, sending
from stagelight.instrumentation.frameworks._steps import qualified, step
from stagelight.instrumentation.frameworks._wrapping import suppressed

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._buffers import QueueRecord
    from stagelight.instrumentation.frameworks._patches import Patches

_RULE: Final = "a procrastinate queue"
#: What a lock of ours begins with.
_LOCK: Final = f"{KEY} "
#: The jobs that are being deferred here.
_SENDING: Final[ContextVar[_Batch | None]] = ContextVar("procrastinate", default=None)


def _worker(module: Any, patches: Patches) -> None:
    patches.after(module.Worker, "__init__", _made)


def _manager(module: Any, patches: Patches) -> None:
    patches.replace(module.JobManager, "_defer_jobs_query_kwargs", _sending)
    for name in ("batch_defer_jobs", "batch_defer_jobs_async"):
        original = vars(module.JobManager)[name]
        patches.put(module.JobManager, name, sending(original, _batch))
    patches.after(module.JobManager, "retry_job", _put_back)
    patches.after(module.JobManager, "defer_periodic_job", _deferred)


def _made(worker: Any, _args: Any, _kwargs: Any, result: object) -> None:
    if not isinstance(result, BaseException):
        worker.worker_middleware = [_middleware, *worker.worker_middleware]


def _sending(original: Any) -> Any:
    def _defer_jobs_query_kwargs(self: Any, jobs: Any, *args: Any, **kw: Any) -> Any:
        try:
            batch = _SENDING.get()
            if batch is not None and not suppressed():
                jobs = [_locked(job, batch) for job in jobs]
        except Exception as error:  # noqa: BLE001 - never into procrastinate
            _guard.caught("framework", error)
        return original(self, jobs, *args, **kw)

    return _defer_jobs_query_kwargs


class _Batch:
    """Jobs that are deferred by one call: all of them, or none.

    Attributes:
        records: The queue of each.
        parcels: Those that carry their journey.
    """

    def __init__(self) -> None:
        self.records: list[QueueRecord] = []
        self.parcels: list[Parcel] = []

    def accepted(self) -> None:
        """The database has them."""
        for parcel in self.parcels:
            parcel.accepted()
        for record in self.records:
            record.enqueue()

    def refused(self, reason: str) -> None:
        """The database has none of them.

        Args:
            reason: Why; one of few.
        """
        for record in self.records:
            record.refuse(reason)


def _batch(_manager: Any, _args: Any, _kwargs: Any) -> _Batch:
    batch = _Batch()
    _SENDING.set(batch)
    return batch


def _locked(job: Any, batch: _Batch) -> Any:
    record = broker_queue(job.queue, _RULE)
    batch.records.append(record)
    if job.lock is not None:
        return job
    parcel = Parcel(job, record, count=False)
    batch.parcels.append(parcel)
    # What one span defers has one context: no two may have the same lock.
    told = {**parcel.carrier, "job": uuid.uuid4().hex}
    return job.evolve(lock=_LOCK + json.dumps(told, separators=(",", ":")))


def _received(job: Any) -> dict[str, str] | None:
    if not isinstance(job.lock, str) or not job.lock.startswith(_LOCK):
        return None
    known = json.loads(job.lock.removeprefix(_LOCK))
    return {key: text for key, text in known.items() if key != "job"}


def _deferred(_manager: Any, args: Any, kwargs: Any, result: object) -> None:
    """A periodic job that this worker put in, and no other one."""
    if isinstance(result, int):
        _put_back(_manager, args, kwargs, result)


def _put_back(_manager: Any, args: Any, kwargs: Any, result: object) -> None:
    """A job that is to be tried again is in its queue once more."""
    if not isinstance(result, BaseException):
        job = kwargs["job"] if "job" in kwargs else args[0]
        broker_queue(job.queue, _RULE).enqueue()


async def _middleware(call_next: Any, context: Any, _worker: Any) -> Any:
    call = None
    try:
        if not suppressed():
            call = _call(context)
    except Exception as error:  # noqa: BLE001 - never into procrastinate
        _guard.caught("framework", error)
    if call is None:
        return await call_next()
    try:
        return await call.run_async(call_next, (), {})
    except BaseException as error:
        step_aside(error)
        raise


class _Job:
    """A job as an event: its identifier, and which attempt it is."""

    __slots__ = ("attempt", "id")

    def __init__(self, job: Any) -> None:
        self.id = job.id
        self.attempt = job.attempts + 1


def _call(context: Any) -> Call:
    job = context.job
    task = context.app.tasks.get(job.task_name)
    made = step(
        job.task_name,
        rule="a procrastinate task",
        source=f"procrastinate {job.task_name}",
        function=qualified(task.func) if task is not None else job.task_name,
        kind="coroutine",
    )
    if job.attempts:
        made.retry()
    due = job.scheduled_at
    delivery = receive(
        _received(job),
        broker_queue(job.queue, _RULE),
        sent_ns=None if due is None else int(due.timestamp() * 1e9),
    )
    return Call(made, _Job(job), delivery)


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "procrastinate.worker": _worker,
    "procrastinate.manager": _manager,
}
