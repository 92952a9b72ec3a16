"""Luigi: a run, and in it each task, in this process or in one of its own.

A task's process is made where the run is and carries the run's trace context as one
more attribute. A ``run()`` that yields dependencies is called anew once they are there:
what is left that way counts as cancelled, so that successes are tasks that are done.
"""

from __future__ import annotations

import weakref
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

from stagelight.instrumentation.frameworks._brokers import broker_queue
from stagelight.instrumentation.frameworks._calls import Again, Call
from stagelight.instrumentation.frameworks._delivery import (
    carrier,
    continued,
    part,
    root,
)
from stagelight.instrumentation.frameworks._steps import Step, step

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._buffers import QueueRecord
    from stagelight.instrumentation.frameworks._patches import Patches

_CARRIER: Final = "_stagelight"
_FAILED: Final = "_stagelight_failed"


class _Pending:
    """What one worker has scheduled: task id -> clock since when it waits."""

    def __init__(self) -> None:
        self.since: dict[str, int] = {}
        self.failed: set[str] = set()


_PENDING: Final[weakref.WeakKeyDictionary[Any, _Pending]] = weakref.WeakKeyDictionary()


def _interface(module: Any, patches: Patches) -> None:
    patches.around(module, "_schedule_and_run", _run)


def _worker(module: Any, patches: Patches) -> None:
    patches.before(module.Worker, "_add_task", _added)
    patches.before(module.Worker, "_run_task", _started)
    patches.before(module.Worker, "__exit__", _left)
    patches.after(module.TaskProcess, "__init__", _made)
    patches.around(module.TaskProcess, "_run_get_new_deps", _task)
    patches.before(module.TaskProcess, "_handle_run_exception", _failed)


def _run(_module: Any, _args: Any, _kwargs: Any) -> Call:
    return Call(step("luigi run", rule="a Luigi run"), None, root())


def _queue() -> QueueRecord:
    return broker_queue("pending", "Luigi's scheduler", _size)


def _size() -> int:
    return sum(len(pending.since) for pending in list(_PENDING.values()))


def _added(worker: Any, _args: Any, kwargs: dict[str, Any]) -> None:
    pending = _PENDING.setdefault(worker, _Pending())
    task_id, status = kwargs["task_id"], kwargs["status"]
    if status == "FAILED":
        pending.failed.add(task_id)
    elif status != "PENDING" or kwargs.get("runnable") is False:
        return
    if task_id not in pending.since:
        pending.since[task_id] = clock()
        record = _queue()
        record.enqueued += 1
        record.peak.note(_size())


def _started(worker: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    task_id = args[0] if args else kwargs["task_id"]
    pending = _PENDING.setdefault(worker, _Pending())
    since = pending.since.pop(task_id, None)
    if since is not None:
        record = _queue()
        record.dequeued += 1
        record.wait.record(clock() - since)
    if task_id in pending.failed:
        pending.failed.discard(task_id)
        _step(worker._scheduled_tasks[task_id]).retry()  # noqa: SLF001 - Luigi's own


def _left(worker: Any, _args: Any, _kwargs: Any) -> None:
    """What could not run by now never will, though somebody may keep the worker."""
    _PENDING.pop(worker, None)


def _made(process: Any, _args: Any, _kwargs: Any, _result: object) -> None:
    setattr(process, _CARRIER, carrier())


def _step(task: Any) -> Step:
    kind = type(task)
    return step(
        task.task_family,
        rule="a Luigi task",
        source=f"{kind.__module__}.{kind.__qualname__}",
        function=f"{kind.__module__}.{kind.__qualname__}.run",
        event_id=_task_id,
    )


def _task_id(task: Any) -> object:
    return task.task_id


def _task(process: Any, _args: Any, _kwargs: Any) -> Call:
    def ended(_result: Any, error: BaseException | None) -> None:
        setattr(process, _FAILED, error)

    delivery = part(continued(getattr(process, _CARRIER, None)))
    return Call(_step(process.task), process.task, delivery, ended, _judge)


def _judge(new_dependencies: Any) -> Again | None:
    return Again() if new_dependencies else None


def _failed(process: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A task that fails before its ``run()``, as one whose dependencies are missing."""
    error = args[0] if args else kwargs["ex"]
    if getattr(process, _FAILED, None) is not error:
        _step(process.task).fail(error, process.task)


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "luigi.interface": _interface,
    "luigi.worker": _worker,
}
