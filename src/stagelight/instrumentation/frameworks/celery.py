"""Celery: what its own instrumentation lacks. How long tasks waited, and a last flush.

The spans are those of opentelemetry-instrumentation-celery: we make none.
"""

from __future__ import annotations

from datetime import datetime
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight.instrumentation.frameworks._brokers import broker_queue
from stagelight.instrumentation.frameworks._delivery import KEY
from stagelight.instrumentation.frameworks._wrapping import suppressed

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._buffers import QueueRecord
    from stagelight.instrumentation.frameworks._patches import Patches


def _signals(module: Any, patches: Patches) -> None:
    for signal, tell in (
        (module.before_task_publish, _publish),
        (module.after_task_publish, _published),
        (module.task_prerun, _start),
        (module.task_revoked, _revoked),
        (module.worker_process_shutdown, _shut_down),
    ):
        signal.connect(tell, weak=False, dispatch_uid=f"{KEY}{tell.__name__}")
        patches.finally_(_disconnector(signal, tell))


def _disconnector(signal: Any, tell: Callable[..., None]) -> Callable[[], object]:
    return lambda: signal.disconnect(dispatch_uid=f"{KEY}{tell.__name__}")


def _record(name: str) -> QueueRecord:
    return broker_queue(name or "celery", "a Celery queue")


def _publish(headers: Any = None, **_: Any) -> None:
    if isinstance(headers, dict) and not suppressed():
        headers[KEY] = str(time_ns())


def _published(headers: Any = None, routing_key: Any = None, **_: Any) -> None:
    try:
        if suppressed() or not isinstance(headers, dict):
            return
        _record(str(routing_key or "")).enqueue()
    except Exception as error:  # noqa: BLE001 - never into Celery
        _guard.caught("framework", error)


def _start(task: Any = None, **_: Any) -> None:
    try:
        request = task.request
        if suppressed() or request.is_eager:
            return
        sent = request.get(KEY) or (request.headers or {}).get(KEY)
        name = (request.delivery_info or {}).get("routing_key") or ""
        record = _record(str(name))
        with record.lock:
            record.dequeued += 1
            if sent is not None:
                due = max(int(sent), _due(request.eta))
                record.wait.record(max(time_ns() - due, 0))
    except Exception as error:  # noqa: BLE001 - never into Celery
        _guard.caught("framework", error)


def _revoked(request: Any = None, terminated: Any = None, **_: Any) -> None:
    """A task that was revoked, or expired, left its queue without being run."""
    try:
        if suppressed() or terminated:
            return
        record = _record(str((request.delivery_info or {}).get("routing_key") or ""))
        with record.lock:
            record.dequeued += 1
    except Exception as error:  # noqa: BLE001 - never into Celery
        _guard.caught("framework", error)


def _due(eta: Any) -> int:
    """When a task is to begin at the earliest, as Celery writes it; 0 for at once."""
    known = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
    return int(known.timestamp() * 1e9) if known else 0


def _shut_down(**_: Any) -> None:
    """A prefork child ends: others come, and nothing of this one is to be lost."""
    from stagelight import _flushing

    _flushing.flush_now(2.0)


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {"celery.signals": _signals}
