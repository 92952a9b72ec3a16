"""procrastinate: its tasks, by the official worker middleware.

A job's row has no field that a worker without us would leave alone, so the trace of a
job begins where it is performed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight.instrumentation.frameworks._brokers import broker_queue
from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import receive
from stagelight.instrumentation.frameworks._patches import suppressed
from stagelight.instrumentation.frameworks._steps import qualified, step

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight.instrumentation.frameworks._patches import Patches

_RULE: Final = "a procrastinate queue"


def _worker(module: Any, patches: Patches) -> None:
    patches.after(module.Worker, "__init__", _made)


def _manager(module: Any, patches: Patches) -> None:
    patches.after(module.JobManager, "batch_defer_jobs", _deferred)
    patches.after(module.JobManager, "batch_defer_jobs_async", _deferred)


def _made(worker: Any, _args: Any, _kwargs: Any, result: object) -> None:
    if not isinstance(result, BaseException):
        worker.worker_middleware = [_middleware, *worker.worker_middleware]


def _deferred(_manager: Any, _args: Any, _kwargs: Any, jobs: Any) -> None:
    if isinstance(jobs, BaseException):
        return
    for job in jobs:
        record = broker_queue(job.queue, _RULE)
        with record.lock:
            record.enqueued += 1


async def _middleware(call_next: Any, context: Any, _worker: Any) -> Any:
    call = None
    try:
        if not suppressed():
            call = _call(context)
    except Exception as error:  # noqa: BLE001 - never into procrastinate
        _guard.caught("framework", error)
    if call is None:
        return await call_next()
    return await call.run_async(call_next, (), {})


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
    return Call(made, _Job(job), receive(None, broker_queue(job.queue, _RULE)))


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "procrastinate.worker": _worker,
    "procrastinate.manager": _manager,
}
