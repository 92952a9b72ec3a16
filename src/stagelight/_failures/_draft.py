"""A failed event on its way to the store: plain data, nothing of the program's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from time import perf_counter_ns as clock
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

from stagelight import _names
from stagelight._cells import NANOSECONDS
from stagelight._failures import _tracebacks, _traces
from stagelight._failures._calls import call_of, made_of
from stagelight._failures._texts import TEXTS
from stagelight._quiet import steps

if TYPE_CHECKING:
    from stagelight._failures._calls import Call
    from stagelight._failures._payloads import Packer, Payload
    from stagelight._records import StageRecord
    from stagelight._sinks import EventRecord

_NO_JOURNEY: Final = '{"age":null,"queue":null,"wait":null,"stages":[]}'


class Cause:
    """What the failures of one group have in common that were called the same way.

    Args:
        record: One of them.
        trace: Its traceback.
        packer: Makes data of what the program has.

    Attributes:
        group: Name of the group.
        identity: Pipeline, stage, error type, file and function.
        place: Where the stage is: kind of call, module, qualified name, and what its
            object is made of; as JSON.
        single: Whether calls got the event alone.
        held: What it is known by, and so must not go.
    """

    __slots__ = ("group", "held", "identity", "place", "single")

    def __init__(
        self, record: EventRecord, trace: _traces.Trace, packer: Packer
    ) -> None:
        stage, kind, code = record.stage or "", record.error_type or "", trace.code
        self.held = (record.source, code, trace.entry)
        self.group = _traces.group_of(record.pipeline, stage, kind, code)
        self.identity = (
            _names.encodable(record.pipeline),
            _names.encodable(stage),
            kind,
            "" if code is None else _names.encodable(code.co_filename),
            "" if code is None else code.co_name,
        )
        call = call_of(record)
        self.single = call.single
        source = record.source
        names = ("", "", "") if source is None else place_of(source)
        if call.function is not None:
            names = (names[0], *_named(call.function))
        place: dict[str, Any] = dict(
            zip(("kind", "module", "name"), names, strict=True)
        )
        if call.instance is not None:
            place["instance"] = _instance(call.instance, packer)
        self.place = json.dumps(place)


def _named(function: Any) -> tuple[str, str]:
    """Module and qualified name of a function, empty where it has none."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    if isinstance(module, str) and isinstance(name, str):
        return module, name
    return "", ""


def _instance(instance: Any, packer: Packer) -> dict[str, Any]:
    """What an object is made of, as data."""
    try:
        how, fields = made_of(instance)
        return {how: packer.plain(fields)}
    except Exception as error:  # noqa: BLE001 - a property or __eq__ of the user's
        return {"why": f"{type(instance).__qualname__} is not kept: {error}"[:300]}


def arguments_of(call: Call, packer: Packer) -> str | None:
    """The arguments beside the event as JSON, None where there are none.

    Args:
        call: The call.
        packer: Makes data of them.
    """
    if call.single:
        return None
    try:
        made = [packer.plain(call.more), packer.plain(call.named)]
    except Exception as error:  # noqa: BLE001 - an object of the user's
        return json.dumps({"why": f"{error}"[:300]})
    return json.dumps({"more": made[0], "named": made[1]})


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
        arguments: What was passed beside the event, as JSON.
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
    arguments: str | None = None

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        return 2_000 + len(self.payload.data)

    def shown_id(self) -> str | None:
        """The identifier of the event without secrets."""
        return None if self.event_id is None else TEXTS.text(self.event_id, 256)

    def shown(self) -> tuple[str, str]:
        """Text of the exception, and what is read only of one failure, as JSON."""
        messages = [link.shown() for link in self.chain]
        links = zip(self.chain, messages, strict=True)
        chain = ",".join([link.text(message) for link, message in links])
        attributes = json.dumps(self.attributes) if self.attributes else "{}"
        return messages[0], (
            f'{{"exception":[{chain}],"place":{self.cause.place},'
            f'"journey":{self._journey()},"attributes":{attributes},'
            f'"arguments":{self.arguments or "null"}}}'
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
