"""A failed event on its way to the store: plain data, nothing of the program's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from time import perf_counter_ns as clock
from time import time_ns
from typing import TYPE_CHECKING, Final

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

_TEXTS: Final = Redactor()
_NO_JOURNEY: Final = '{"age":null,"queue":null,"wait":null,"stages":[]}'


class Cause:
    """What the failures of one group have in common.

    Args:
        record: One of them.
        code: What it is charged to.

    Attributes:
        group: Name of the group.
        identity: Pipeline, stage, error type, file and function.
        place: Where the stage is: kind of call, module, qualified name; as JSON.
        held: What it is known by, and so must not go.
    """

    __slots__ = ("group", "held", "identity", "place")

    def __init__(self, record: EventRecord, code: CodeType | None) -> None:
        stage, kind = record.stage or "", record.error_type or ""
        self.held = (record.source, code)
        self.group = _tracebacks.group_of(record.pipeline, stage, kind, code)
        self.identity = (
            _names.encodable(record.pipeline),
            _names.encodable(stage),
            kind,
            "" if code is None else _names.encodable(code.co_filename),
            "" if code is None else code.co_name,
        )
        source = record.source
        names = ("", "", "") if source is None else place_of(source)
        place = dict(zip(("kind", "module", "name"), names, strict=True))
        self.place = json.dumps(place)


@dataclass(slots=True)
class Draft:
    """One failed event.

    Attributes:
        cause: What it has in common with others.
        time: Wall clock, seconds since the epoch.
        chain: The exceptions.
        event_id: Identifier of the event, secrets and all.
        attempt: 1 for the first.
        outcome: ``failure``, ``refused`` or ``timeout``.
        duration: Seconds in the stage.
        span: Its span's context, or None.
        payload: The event.
        upstream: Stages before: name, seconds since the epoch, duration, wait.
        queue: Queue that the event came from, or None.
        wait: Seconds that it waited there.
        age: Seconds since its journey began, or None.
        attributes: Declared attributes of the event.
    """

    cause: Cause
    time: float
    chain: list[_tracebacks.Link]
    event_id: str | None
    attempt: int
    outcome: str
    duration: float
    span: trace.SpanContext | None
    payload: Payload
    upstream: list[tuple[str, float, float, float]]
    queue: str | None
    wait: float | None
    age: float | None
    attributes: dict[str, str] | None = None

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        return 2_000 + len(self.payload.data)

    def shown_id(self) -> str | None:
        """The identifier of the event without secrets."""
        return None if self.event_id is None else _TEXTS.text(self.event_id, 256)

    def shown(self) -> tuple[str, str]:
        """Text of the exception, and what is read only of one failure, as JSON."""
        messages = [link.shown() for link in self.chain]
        links = zip(self.chain, messages, strict=True)
        chain = ",".join([link.text(message) for link, message in links])
        attributes = json.dumps(self.attributes) if self.attributes else "{}"
        return messages[0], (
            f'{{"exception":[{chain}],"place":{self.cause.place},'
            f'"journey":{self._journey()},"attributes":{attributes}}}'
        )

    def _journey(self) -> str:
        if self.age is None and self.queue is None and not self.upstream:
            return _NO_JOURNEY
        stages = [
            {"stage": stage, "time": at, "duration": took, "wait": waited}
            for stage, at, took, waited in self.upstream
        ]
        return json.dumps(
            {"age": self.age, "queue": self.queue, "wait": self.wait, "stages": stages}
        )


def draft(
    record: EventRecord,
    payload: Payload,
    chain: list[_tracebacks.Link],
    cause: Cause,
) -> Draft:
    """Take what is needed of a failed event; nothing of the program's is kept.

    What can wait is left to the thread that writes: one after the other it costs half.

    Args:
        record: What was announced.
        payload: The event.
        chain: The exception.
        cause: What it has in common with others.
    """
    turn = record.turn
    upstream: list[tuple[str, float, float, float]] = []
    wait = age = None
    if turn is not None or record.trail is not None:
        now = clock()
        upstream = _upstream(record, now)
        if turn is not None:
            age = (now - turn.began) / NANOSECONDS
            wait = turn.wait / NANOSECONDS if turn.queue else None
    return Draft(
        cause,
        record.time_ns / NANOSECONDS,
        chain,
        record.event_id,
        record.attempt,
        record.outcome or "",
        record.duration or 0.0,
        _span_of(record),
        payload,
        upstream,
        record.queue,
        wait,
        age,
    )


def _span_of(record: EventRecord) -> trace.SpanContext | None:
    if not record.context:
        return None
    span = trace.get_current_span(record.context).get_span_context()
    return span if span.is_valid else None


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
