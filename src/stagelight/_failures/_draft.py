"""A failed event on its way to the store: plain data, nothing of the program's own."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter_ns as clock
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from stagelight import _names
from stagelight._cells import NANOSECONDS
from stagelight._failures import _tracebacks
from stagelight._quiet import steps
from stagelight._redaction import Redactor

if TYPE_CHECKING:
    from types import CodeType

    from stagelight._failures._payloads import Payload
    from stagelight._records import StageRecord
    from stagelight._sinks import EventRecord

_TEXTS = Redactor()


@dataclass(slots=True)
class Draft:
    """One failed event.

    Attributes:
        time: Wall clock, seconds since the epoch.
        group: Name of its group.
        pipeline: Name of the pipeline.
        stage: Name of the stage.
        error_type: Class of the exception.
        file: Source file that it is charged to.
        function: Function that it is charged to.
        message: Text of the exception, without secrets.
        event_id: Identifier of the event.
        attempt: 1 for the first.
        outcome: ``failure``, ``refused`` or ``timeout``.
        duration: Seconds in the stage.
        trace_id: Its trace, or None.
        span_id: Its span, or None.
        payload: The event.
        chain: The exceptions, as ``_tracebacks.taken`` gives them.
        place: Where the stage is: kind of call, module, qualified name.
        upstream: Stages before: name, seconds since the epoch, duration, wait.
        queue: Queue that the event came from, or None.
        wait: Seconds that it waited there.
        age: Seconds since its journey began, or None.
        attributes: Declared attributes of the event.
    """

    time: float
    group: str
    pipeline: str
    stage: str
    error_type: str
    file: str
    function: str
    message: str
    event_id: str | None
    attempt: int
    outcome: str
    duration: float
    trace_id: str | None
    span_id: str | None
    payload: Payload
    chain: list[tuple[str, str, str, list[_tracebacks.Frame]]]
    place: tuple[str, str, str]
    upstream: list[tuple[str, float, float, float]]
    queue: str | None
    wait: float | None
    age: float | None
    attributes: dict[str, str]

    @property
    def identity(self) -> tuple[str, ...]:
        """What its group has in common."""
        return (self.pipeline, self.stage, self.error_type, self.file, self.function)

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        return 2_000 + len(self.payload.data)

    def detail(self) -> dict[str, Any]:
        """What is read only where one failure is looked at."""
        kind, module, name = self.place
        stages = [
            {"stage": stage, "time": at, "duration": took, "wait": waited}
            for stage, at, took, waited in self.upstream
        ]
        return {
            "exception": _tracebacks.as_data(self.chain),
            "place": {"kind": kind, "module": module, "name": name},
            "journey": {
                "age": self.age,
                "queue": self.queue,
                "wait": self.wait,
                "stages": stages,
            },
            "attributes": self.attributes,
        }


def draft(
    record: EventRecord,
    payload: Payload,
    chain: list[tuple[str, str, str, list[_tracebacks.Frame]]],
    group: str,
    code: CodeType | None,
) -> Draft:
    """Take what is needed of a failed event; nothing of the program's is kept.

    Args:
        record: What was announced.
        payload: The event.
        chain: The exception.
        group: Name of its group.
        code: What it is charged to.
    """
    span = trace.get_current_span(record.context).get_span_context()
    turn, stage = record.turn, record.source
    now = clock()
    age = (now - turn.began) / NANOSECONDS if turn is not None else None
    led = turn is not None or record.trail is not None
    return Draft(
        time=record.time_ns / NANOSECONDS,
        group=group,
        pipeline=_names.encodable(record.pipeline),
        stage=_names.encodable(record.stage or ""),
        error_type=record.error_type or "",
        file="" if code is None else _names.encodable(code.co_filename),
        function="" if code is None else code.co_name,
        message=chain[0][2] if chain else "",
        event_id=None if record.event_id is None else _TEXTS.text(record.event_id, 256),
        attempt=record.attempt,
        outcome=record.outcome or "",
        duration=record.duration or 0.0,
        trace_id=trace.format_trace_id(span.trace_id) if span.is_valid else None,
        span_id=trace.format_span_id(span.span_id) if span.is_valid else None,
        payload=payload,
        chain=chain,
        place=("", "", "") if stage is None else place_of(stage),
        upstream=_upstream(record, now) if led else [],
        queue=record.queue,
        wait=turn.wait / NANOSECONDS if turn is not None and turn.queue else None,
        age=age,
        attributes={},
    )


def _upstream(record: EventRecord, now: int) -> list[tuple[str, float, float, float]]:
    """The finished stages of the event's journey, in the order of their starts."""
    done: list[tuple[StageRecord, int, int]] = []
    turn = record.turn
    began, offset = record.began or now, time_ns() - now
    if turn is not None and not isinstance(turn.origin, int):
        held = turn.origin.done or []
        done = [(stage, start, end) for stage, start, end, _ in held]
    elif record.trail is not None:
        done = [(one[1].stage, one[4], one[5]) for one in steps(record.trail)]
    done = sorted((one for one in done if one[1] < began), key=lambda one: one[1])
    found = []
    before: int | None = None
    for stage, start, end in done:
        waited = 0 if before is None else max(start - before, 0)
        found.append(
            (
                stage.name,
                (start + offset) / NANOSECONDS,
                (end - start) / NANOSECONDS,
                waited / NANOSECONDS,
            )
        )
        before = end
    return found


def place_of(stage: StageRecord) -> tuple[str, str, str]:
    """Where a stage's function is: kind of its calls, module, qualified name.

    Args:
        stage: The stage. A pool's task is nowhere.
    """
    source = stage.pipeline.sources.get(stage.name)
    function = stage.function
    if isinstance(source, str):
        for name in (function, function.removesuffix(".process")):
            module = source.removesuffix(name)
            if module != source and module[-1:] in {".", ":"}:
                return stage.kind, module[:-1], function
    return stage.kind, "", ""
