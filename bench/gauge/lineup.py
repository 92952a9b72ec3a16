"""All contestants by name, and which of them a room lets take turns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gauge import captures, flows, growth, load, stages
from gauge.stages import DEFAULT, EVERY, EVERY_OTLP, METRICS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gauge.cases import Case, Round

PROMETHEUS = "prometheus_client histogram + counter"
OTEL_METRICS = "OpenTelemetry histogram + counter"
OTEL_ALL = "OpenTelemetry span + histogram + counter"
OTEL_OTLP = "OpenTelemetry span + histogram + counter, OTLP encoded"
LOGFIRE = "logfire.instrument"
LOGFIRE_BARE = "logfire.instrument(extract_args=False)"
OTHERS: dict[str, Callable[[], Case]] = {
    PROMETHEUS: stages.prometheus,
    OTEL_METRICS: stages.otel_metrics,
    OTEL_ALL: stages.otel_all,
    OTEL_OTLP: partial(stages.otel_all, encode=True),
    LOGFIRE: stages.logfire,
    LOGFIRE_BARE: partial(stages.logfire, extract_args=False),
}

FUNCTION = "function"
OBJECT = "object.process"
FETCHED = "function, fetched event"
COROUTINE = "coroutine"
GENERATOR = "generator item"
ASYNC_GENERATOR = "async generator item"
QUEUE = "queue put + get"
BOUNDED = "bounded queue put + get"
TWO_STAGES = "stage, put, get, stage"
TASK_QUEUE = "asyncio put + get"
TASK_FETCHED = "asyncio get + coroutine"
KINDS: dict[str, Callable[[str], Case]] = {
    FUNCTION: stages.function,
    OBJECT: stages.processor,
    FETCHED: flows.fetched,
    COROUTINE: flows.coroutine,
    GENERATOR: flows.generator,
    ASYNC_GENERATOR: flows.async_generator,
    QUEUE: flows.put_get,
    BOUNDED: flows.bounded,
    TWO_STAGES: flows.two_stages,
    TASK_QUEUE: flows.task_put_get,
    TASK_FETCHED: flows.task_fetched,
}


def ours(mode: str, kind: str) -> str:
    """Name of a contestant of stagelight's."""
    return f"{mode}: {kind}"


_OURS = {
    ours(mode, kind): partial(KINDS[kind], mode)
    for mode, kinds in (
        (METRICS, tuple(KINDS)),
        (DEFAULT, tuple(KINDS)),
        (EVERY, (FUNCTION, TWO_STAGES)),
        (EVERY_OTLP, (FUNCTION,)),
    )
    for kind in kinds
}
CALLS = (*_OURS, *OTHERS)

FAILURES = "1,000 failures a second"
DECLARED = "function, attributes declared"
CAPTURED: dict[str, Callable[[], Round]] = {
    f"{mode}: {kind}": partial(captures.unfailing, KINDS[kind], mode)
    for mode in (METRICS, DEFAULT)
    for kind in (FUNCTION, FETCHED, COROUTINE)
}
CAPTURED[f"{METRICS}: {DECLARED}"] = partial(
    captures.unfailing, stages.function, METRICS, ("source",)
)
CAPTURED[f"{METRICS}: {FAILURES}"] = partial(captures.failing, METRICS)
CAPTURED = {f"capture, {name}": round_ for name, round_ in CAPTURED.items()}

STAGES = "stages"
THREADS = "threads"
EVENTS = {f"after {number:,} events": number for number in growth.EVENTS}
COLLECTION = "collection"
MEMORY = "memory"
_WHOLE: dict[str, Callable[[], Round]] = {
    STAGES: partial(growth.stages, DEFAULT),
    THREADS: partial(growth.threads, DEFAULT),
    **{name: partial(growth.after, DEFAULT, number) for name, number in EVENTS.items()},
    COLLECTION: load.collection,
    MEMORY: load.memory,
    **CAPTURED,
}


def contestant(name: str) -> Round:
    """Set up a contestant in this process.

    Args:
        name: Its name.
    """
    if name in _WHOLE:
        return _WHOLE[name]()
    return {**_OURS, **OTHERS}[name]().rounds()
