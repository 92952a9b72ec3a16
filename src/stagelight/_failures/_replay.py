"""Runs a kept event through its stage again, and compares how it went."""

from __future__ import annotations

import difflib
import importlib
import inspect
import io
import json
import pickle
import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

from stagelight import _names, _outcomes
from stagelight._capture import JSON, PICKLE
from stagelight._failures import _tracebacks, _traces
from stagelight._failures._decoding import Decoder, UnreadableError
from stagelight._failures._payloads import REPR, USER
from stagelight._failures._schema import StoreError
from stagelight._failures._sink import REPLAYING
from stagelight._failures._texts import TEXTS
from stagelight._tracer import TRACER
from stagelight._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from stagelight._failures._location import Stage
    from stagelight._failures._payloads import Payload

SAME: Final = "same failure"
OTHER: Final = "other failure"
SUCCESS: Final = "success"
SKIPPED: Final = "not replayed"
_ITEMS: Final = 10_000


@dataclass
class Replayed:
    """How one replay went.

    Attributes:
        id: The failure.
        event_id: Identifier of the event, or None.
        result: ``same failure``, ``other failure``, ``success``, or ``not replayed``.
        before: Class and text of the exception that was kept.
        after: Class and text of the exception now, or what was returned.
        diff: Lines that differ between both tracebacks, or outcomes.
        duration: Seconds in the stage.
        trace_id: Trace of the replay, linked to the original; None without tracing.
        span_id: Its span.
        exception: What was raised, or None.
        value: What was returned.
    """

    id: int
    event_id: str | None
    result: str
    before: str
    after: str
    diff: list[str]
    duration: float = 0.0
    trace_id: str | None = None
    span_id: str | None = None
    exception: BaseException | None = None
    value: Any = None

    def document(self) -> dict[str, Any]:
        """All of it as data for JSON, but objects of the program."""
        shown = dict(vars(self))
        for name in ("exception", "value"):
            del shown[name]
        return shown


def event_of(
    payload: Payload,
    modules: Mapping[str, ModuleType],
    *,
    allow_pickle: bool = False,
) -> Any:
    """The event of a payload.

    Args:
        payload: What was kept.
        modules: What the names of modules in it mean.
        allow_pickle: Whether a pickle may be loaded.

    Raises:
        StoreError: It cannot be brought back; the text says why.
    """
    codec = payload.codec
    if codec == REPR:
        raise StoreError(f"it was kept as a description only: {payload.why}")
    try:
        if codec == JSON:
            return Decoder(modules).decode(json.loads(payload.data))
        if codec == PICKLE:
            if not allow_pickle:
                raise StoreError(  # noqa: TRY301 - passes through below
                    "it is a pickle, and loading one runs whatever code is in it; "
                    "allow it (--allow-pickle) if you trust all who can write the store"
                )
            return _Unpickler(io.BytesIO(payload.data), modules).load()
        return _user_codec(codec.removeprefix(USER)).loads(payload.data)
    except StoreError:
        raise
    except UnreadableError as error:
        raise StoreError(str(error)) from None
    except Exception as error:
        raise StoreError(
            f"it cannot be read: {type(error).__name__}: {error}"
        ) from error


class _Unpickler(pickle.Unpickler):
    """Finds what was in the main script where that has another name now."""

    def __init__(self, data: io.BytesIO, modules: Mapping[str, ModuleType]) -> None:
        super().__init__(data)
        self._modules = modules

    def find_class(self, module: str, name: str) -> Any:
        found: Any = self._modules.get(module)
        if found is None:
            return super().find_class(module, name)
        for part in name.split("."):
            found = getattr(found, part)
        return found


def _user_codec(path: str) -> Any:
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.removesuffix("()").split("."):
        found = getattr(found, part)
    return found() if name.endswith("()") else found


def with_arguments(stage: Stage, kept: Mapping[str, Any] | None) -> Stage:
    """A stage that is called as it was, with what was passed beside the event.

    Args:
        stage: The stage.
        kept: What is known of that, or None where there was nothing.

    Raises:
        StoreError: It was not kept.
    """
    if kept is None or stage.alone:
        return stage
    if "why" in kept:
        raise StoreError(
            "it was called with arguments beside its event that are not kept "
            f"({kept['why']}); name a function that takes the event alone: --stage"
        )
    decoder = Decoder(stage.modules)
    try:
        more, named = decoder.decode(kept["more"]), decoder.decode(kept["named"])
    except UnreadableError as error:
        raise StoreError(str(error)) from None
    call = stage.call
    return stage._replace(call=lambda event: call(event, *more, **named))


def skipped(found: Mapping[str, Any], why: str) -> Replayed:
    """The outcome of a replay that could not be.

    Args:
        found: All that is known of the failure.
        why: Why not.
    """
    return Replayed(found["id"], found["event_id"], SKIPPED, _before(found), why, [])


def replay(found: Mapping[str, Any], stage: Stage, event: Any) -> Replayed:
    """Run an event through its stage, in a span that is linked to the original.

    Args:
        found: All that is known of the failure.
        stage: Its stage.
        event: The event.
    """
    provider = TRACER.provider or trace.get_tracer_provider()
    tracer = provider.get_tracer(_names.SCOPE, __version__)
    links = []
    if found["trace_id"] and found["span_id"]:
        original = trace.SpanContext(
            int(found["trace_id"], 16),
            int(found["span_id"], 16),
            is_remote=True,
            trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
        )
        links.append(trace.Link(original))
    attributes: dict[str, Any] = {
        _names.PIPELINE: found["pipeline"],
        _names.STAGE: found["stage"],
        "stagelight.failure.id": found["id"],
    }
    if found["event_id"] is not None:
        attributes[_names.EVENT_ID] = found["event_id"]
    error: BaseException | None = None
    value = None
    with tracer.start_as_current_span(
        f"replay {found['stage']}",
        attributes=attributes,
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        REPLAYING.on = True
        began = time.perf_counter()
        try:
            value = _run(stage.call, event)
        except Exception as raised:  # noqa: BLE001 - the outcome that is asked for
            error = raised
        finally:
            took = time.perf_counter() - began
            REPLAYING.on = False
        made = _compared(found, error, value)
        made.duration = took
        span.set_attribute("stagelight.replay.result", made.result)
        if error is not None:
            span.record_exception(error)
            span.set_status(
                trace.Status(trace.StatusCode.ERROR, _outcomes.message(error))
            )
        context = span.get_span_context()
    if context.is_valid:
        made.trace_id = trace.format_trace_id(context.trace_id)
        made.span_id = trace.format_span_id(context.span_id)
    return made


def _run(call: Callable[[Any], Any], event: Any) -> Any:
    """Call a stage of any kind, to the end of what it gives."""
    value = call(event)
    if inspect.isawaitable(value):
        import asyncio

        async def wait() -> Any:
            return await value

        return asyncio.run(wait())
    if inspect.isgenerator(value):
        return list(islice(value, _ITEMS))
    if inspect.isasyncgen(value):
        import asyncio

        async def collect() -> list[Any]:
            return [item async for item in value]

        return asyncio.run(collect())
    return value


def _before(found: Mapping[str, Any]) -> str:
    text = f": {found['message']}" if found["message"] else ""
    return f"{found['exception'][0]['type']}{text}"


def _compared(
    found: Mapping[str, Any], error: BaseException | None, value: Any
) -> Replayed:
    before = _before(found)
    if error is None:
        shown = json.dumps(TEXTS.value(value), default=str, ensure_ascii=False)
        after = f"returned {TEXTS.text(shown)}"
        result = SUCCESS
        old, new = [before], [after]
    else:
        chain = [
            link.data() for link in _tracebacks.taken(error, trace=_in_stage(error))
        ]
        text = f": {chain[0]['message']}" if chain[0]["message"] else ""
        after = f"{chain[0]['type']}{text}"
        same = chain[0]["type"] == found["exception"][0]["type"] and _function(
            chain
        ) == _function(found["exception"])
        result = SAME if same else OTHER
        old = _tracebacks.rendered(found["exception"]).splitlines()
        new = _tracebacks.rendered(chain).splitlines()
    lines = list(difflib.unified_diff(old, new, lineterm="", n=1))[2:]
    return Replayed(
        found["id"],
        found["event_id"],
        result,
        before,
        after,
        [line for line in lines if not line.startswith("@@")],
        exception=error,
        value=value,
    )


def _in_stage(error: BaseException) -> _traces.Trace | None:
    """The stage's part of a traceback: a replay has a loop of its own."""
    if _traces.is_remote(error.__cause__):
        return None
    one = found = error.__traceback__
    while one is not None:
        if one.tb_frame.f_code.co_filename == __file__:
            found = one.tb_next
        one = one.tb_next
    return _traces.trace_of(found)


def _function(chain: list[dict[str, Any]]) -> str | None:
    """The function that an exception is charged to; its file may be elsewhere now."""
    frames = chain[0]["frames"]
    own = [one for one in frames if _traces.is_own(one["file"])] or frames
    return own[-1]["function"] if own else None
