"""arq: its functions and queues. A job's journey travels as one more key of the job.

A job is serialized as a dict that its readers look up by key, so that a worker without
us finds what it looks for.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from stagelight import _guard, _names
from stagelight.instrumentation.frameworks._brokers import broker_queue
from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import KEY, receive
from stagelight.instrumentation.frameworks._sending import Parcel, sending
from stagelight.instrumentation.frameworks._steps import means, qualified, step
from stagelight.instrumentation.frameworks._wrapper import Wrapper
from stagelight.instrumentation.frameworks._wrapping import observed

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._buffers import QueueRecord
    from stagelight.instrumentation.frameworks._patches import Patches

_RULE: Final = "an arq queue"
#: What travels with the job that is being serialized, or was deserialized, here.
_SENDING: Final[ContextVar[dict[str, str] | None]] = ContextVar("arq", default=None)
_RECEIVED: Final[ContextVar[Any]] = ContextVar("arq_received", default=None)
#: Seconds between two looks at a queue's size.
_LOOK: Final = 1.0
#: Part of its time after which a cancelled job is one whose time is up: the clock of
#: its limit runs from a moment before its begin.
_NEARLY: Final = 0.95


def _jobs(module: Any, patches: Patches) -> None:
    patches.replace(module, "serialize_job", _serializing)
    patches.replace(module, "deserialize_job_raw", _deserializing)


def _connections(module: Any, patches: Patches) -> None:
    jobs = sys.modules["arq.jobs"]
    patches.put(module, "serialize_job", jobs.serialize_job)
    enqueue = module.ArqRedis.enqueue_job
    patches.put(module.ArqRedis, "enqueue_job", sending(enqueue, _enqueue, _verdict))


def _worker(module: Any, patches: Patches) -> None:
    means("arq.worker.Retry", _names.CANCELLED)
    means("arq.worker.RetryJob", _names.CANCELLED)
    jobs = sys.modules["arq.jobs"]
    patches.put(module, "deserialize_job_raw", jobs.deserialize_job_raw)
    patches.after(module.Worker, "__init__", _made)
    patches.put(
        module.Worker,
        "heart_beat",
        Wrapper(module.Worker.heart_beat, _heart_beat),
    )


def _name(queue: Any) -> str:
    return queue.decode() if isinstance(queue, bytes) else str(queue)


def _record(redis: Any, kwargs: dict[str, Any]) -> QueueRecord:
    name = kwargs.get("_queue_name") or redis.default_queue_name
    return broker_queue(_name(name), _RULE)


def _enqueue(redis: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Parcel:
    item = args[0] if args else kwargs["function"]
    parcel = Parcel(item, _record(redis, kwargs))
    _SENDING.set(parcel.carrier)
    return parcel


def _verdict(job: object) -> str | None:
    """A job whose identifier is known already is not put in again."""
    return _names.DUPLICATE if job is None else None


def _serializing(original: Any) -> Any:
    import pickle

    def serialize_job(*args: Any, serializer: Any = None, **kwargs: Any) -> Any:
        known = _SENDING.get()
        inner = serializer or pickle.dumps
        if known is not None:
            _SENDING.set(None)
            outer = inner

            def inner(data: Any) -> Any:
                return outer({**data, KEY: known} if isinstance(data, dict) else data)

        return original(*args, serializer=inner, **kwargs)

    return serialize_job


def _deserializing(original: Any) -> Any:
    import pickle

    def deserialize_job_raw(r: Any, *, deserializer: Any = None) -> Any:
        def inner(data: Any) -> Any:
            found = (deserializer or pickle.loads)(data)
            _RECEIVED.set(found.get(KEY) if isinstance(found, dict) else None)
            return found

        return original(r, deserializer=inner)

    return deserialize_job_raw


def _made(worker: Any, _args: Any, _kwargs: Any, result: object) -> None:
    """Observe the coroutine functions of a worker that was made."""
    if isinstance(result, BaseException):
        return
    queue = _name(worker.queue_name)
    for name, function in worker.functions.items():
        if not isinstance(function.coroutine, Wrapper):
            limit = function.timeout_s
            limit = worker.job_timeout_s if limit is None else limit
            observe = _observer(name, qualified(function.coroutine), queue, limit)
            function.coroutine = observed(function.coroutine, observe)


class _Job:
    """A job as an event: its identifier, and which attempt it is."""

    __slots__ = ("attempt", "id")

    def __init__(self, context: dict[str, Any]) -> None:
        self.id = context["job_id"]
        self.attempt = context["job_try"]


def _observer(
    name: str, function: str, queue: str, limit: float | None
) -> Callable[..., Call | None]:
    def observe(_owner: Any, args: tuple[Any, ...], kwargs: Any) -> Call | None:
        context = args[0] if args else kwargs.get("ctx")
        if not isinstance(context, dict) or "job_id" not in context:
            return None  # called by the program itself
        made = step(
            name,
            rule="an arq function",
            source=f"arq {name}",
            function=function,
            kind="coroutine",
        )
        job = _Job(context)
        due = int(context["score"]) * 1_000_000
        record = broker_queue(queue, _RULE)
        if job.attempt > 1:
            made.retry()
            record.enqueue()
        delivery = receive(_RECEIVED.get(), record, sent_ns=due)
        return Call(made, job, delivery, meaning=_meaning(limit))

    return observe


def _meaning(limit: float | None) -> Callable[[BaseException], Exception | None]:
    """Tells a job that arq cancels as its time is up from one that is aborted."""
    began = monotonic()

    def meaning(error: BaseException) -> Exception | None:
        late = limit is not None and monotonic() - began >= _NEARLY * limit
        return TimeoutError(f"more than {limit} s") if late and _cut(error) else None

    return meaning


def _cut(error: BaseException) -> bool:
    return type(error).__name__ == "CancelledError"


async def _heart_beat(wrapped: Any, worker: Any, args: Any, kwargs: Any) -> Any:
    """Look at the size of the queue as well: nobody else can ask asyncio's redis."""
    result = await wrapped(*args, **kwargs)
    try:
        now = monotonic()
        if now - getattr(worker, "_stagelight", -_LOOK) >= _LOOK:
            worker._stagelight = now  # noqa: SLF001 - our own
            quiet = otel_context.set_value("suppress_instrumentation", True)  # noqa: FBT003
            token = otel_context.attach(quiet)
            try:
                size = int(await worker.pool.zcard(worker.queue_name))
            finally:
                otel_context.detach(token)
            record = broker_queue(_name(worker.queue_name), _RULE)
            record.size = lambda: size
            record.peak.note(size)
    except Exception as error:  # noqa: BLE001 - never into arq
        _guard.caught("framework", error)
    return result


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "arq.jobs": _jobs,
    "arq.connections": _connections,
    "arq.worker": _worker,
}
