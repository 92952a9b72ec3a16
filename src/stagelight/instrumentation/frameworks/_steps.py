"""A framework's own steps as stages, under the names that its users gave them."""

from __future__ import annotations

import threading
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from stagelight import _names, _outcomes, _sinks
from stagelight._call import compile_wrapper
from stagelight._register import add_stage
from stagelight._sinks import EventRecord
from stagelight.instrumentation._ledger import LEDGER, Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._records import Kind, StageRecord

_LOCK: Final = threading.RLock()
#: What tells the twin of a stage from it, where both are called: one is awaited.
_TWIN: Final[dict[Kind, str]] = {"call": "sync", "coroutine": "async"}
_STEPS: Final[dict[tuple[int, str, str], Step]] = {}


class Step:
    """One stage of a framework."""

    __slots__ = ("call", "record")

    def __init__(self, record: StageRecord) -> None:
        self.record = record
        inner = invoke_async if record.kind == "coroutine" else invoke
        self.call: Callable[..., Any] = compile_wrapper(record, inner)

    def fail(self, error: BaseException, event: object = None) -> None:
        """Count an event that failed before the stage's own function was called.

        Args:
            error: Why.
            event: The event.
        """
        record = self.record
        outcome, error_type = _outcomes.classify(record, error)
        record.slot().failure(outcome, error_type).record(0)
        if outcome in _names.ERRORS and _sinks.EVENTS:
            _sinks.announce(
                EventRecord(
                    name=_names.EXCEPTION_EVENT,
                    pipeline=record.pipeline.name,
                    stage=record.name,
                    queue=None,
                    time_ns=time_ns(),
                    error_type=error_type,
                    exception=error,
                    outcome=outcome,
                    event_id=_outcomes.event_id(record, event),
                    context=otel_context.get_current(),
                )
            )

    def retry(self) -> None:
        """Count that an event is to be tried again, in a later call."""
        self.record.slot().retries += 1

    def drop(
        self, reason: str, event: object = None, *, uncalled: bool = False
    ) -> None:
        """Count that the stage let an event go, and tell of it.

        Args:
            reason: Why; one of few.
            event: The event.
            uncalled: Whether that was instead of a call.
        """
        record = self.record
        if uncalled:
            record.slot().failure(_names.DROPPED, "").record(0)
        drops = record.slot().drops
        drops[reason, True] = drops.get((reason, True), 0) + 1
        if _sinks.EVENTS:
            _sinks.announce(
                EventRecord(
                    name=_names.DROPPED_EVENT,
                    pipeline=record.pipeline.name,
                    stage=record.name,
                    queue=None,
                    time_ns=time_ns(),
                    outcome=_names.DROPPED,
                    event_id=_outcomes.event_id(record, event),
                    attributes={
                        _names.DROP_REASON: reason,
                        _names.DROP_INTENTIONAL: True,
                    },
                )
            )


def invoke(
    event: Any,  # noqa: ARG001 - what the wrapper takes for the event
    function: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    return function(*args, **kwargs)


async def invoke_async(
    event: Any,  # noqa: ARG001 - as above
    function: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    return await function(*args, **kwargs)


def step(  # noqa: PLR0913 - what a stage is
    name: str,
    *,
    rule: str,
    source: str = "",
    function: str = "",
    kind: Kind = "call",
    event_id: Callable[[Any], object] | None = None,
) -> Step:
    """The stage of a name, made on its first use.

    Args:
        name: As its user calls it; cut where it is too long for a label.
        rule: Why it is observed, for ``--explain``.
        source: What tells it from namesakes; by default rule and name.
        function: Name of the function it runs.
        kind: How its calls run.
        event_id: Maps an event to its identifier.
    """
    source = source or f"{rule} {name}"
    home = LEDGER.pipeline._record  # noqa: SLF001 - as the emitters do
    key = (id(home), source, kind)
    known = _STEPS.get(key)
    if known is not None and known.record.pipeline is home:
        return known
    with _LOCK:
        told = f"{source} {kind}"
        wanted = tidy(name)
        there = home.sources.get(wanted)
        if there in {f"{source} {one}" for one in _TWIN if one != kind}:
            wanted = tidy(f"{wanted} {_TWIN.get(kind, kind)}")
            there = home.sources.get(wanted)
        record = add_stage(
            home, wanted, kind, function or name, told, unique=there != told
        )
        record.code = record.function
        if event_id is not None:
            record.event_id = event_id
        LEDGER.note(Entry("stage", record.name, rule, source))
        known = _STEPS[key] = Step(record)
    return known


def tidy(name: object) -> str:
    """A name that can be a label: printable, and not too long.

    Args:
        name: As the framework has it.
    """
    text = "".join(one if one.isprintable() else " " for one in str(name)).strip()
    if len(text) > _names.MAX_NAME:
        text = f"{text[: _names.MAX_NAME - 3]}..."
    return text or "unnamed"


def qualified(function: Any) -> str:
    """Module and qualified name of a function, or of what is inside a partial.

    Args:
        function: Any callable.
    """
    while hasattr(function, "func") and not hasattr(function, "__qualname__"):
        function = function.func
    kind = function if hasattr(function, "__qualname__") else type(function)
    return _qualified(kind)


def _qualified(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def means(exception: str, outcome: str, code: str | None = "") -> None:
    """Say what an exception of a framework, and its subclasses, are counted as.

    Args:
        exception: Its qualified class.
        outcome: One of the documented outcomes.
        code: Its ``error.type``, None for its class.
    """
    _outcomes._BY_NAME[exception] = (outcome, code)  # noqa: SLF001 - one table


def forget() -> None:
    """Forget every stage; those in use go on."""
    _STEPS.clear()
