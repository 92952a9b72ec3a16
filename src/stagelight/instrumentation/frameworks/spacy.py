"""spaCy: the components of a language's pipeline, for each document.

In ``nlp.pipe`` components pull documents out of one another, whole batches at a time.
So a component's time is what it took less what it waited for those before it. It has
one span for each run of the stream, not one for each document.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard, _names
from stagelight._aside import step_aside
from stagelight._spans import begin_span
from stagelight._tracer import TRACER
from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import root
from stagelight.instrumentation.frameworks._lazy import Lazy
from stagelight.instrumentation.frameworks._steps import Step, qualified, step
from stagelight.instrumentation.frameworks._wrapper import Wrapper
from stagelight.instrumentation.frameworks._wrapping import observed, suppressed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stagelight._traced import Traced
    from stagelight.instrumentation.frameworks._patches import Patches

#: Whether the next look at ``nlp.pipeline`` is that of ``nlp(text)`` itself.
_LOOKING: Final[ContextVar[bool]] = ContextVar("spacy", default=False)
_BUSY: Final = "stagelight.busy.duration"


def _util(module: Any, patches: Patches) -> None:
    patches.replace(module, "_pipe", _observed_pipe)
    # Where we came late, it was taken over already.
    language = sys.modules.get("spacy.language")
    if language is not None and hasattr(language, "_pipe"):
        patches.put(language, "_pipe", module._pipe)  # noqa: SLF001 - spaCy's own


def _language(module: Any, patches: Patches) -> None:
    kind = module.Language
    patches.around(kind, "__call__", _call)
    patches.around(kind, "make_doc", _make_doc)
    patches.put(kind, "pipe", Wrapper(kind.pipe, _pipe))
    original = vars(kind)["pipeline"]

    def pipeline(self: Any) -> Any:
        """The processing pipeline consisting of (name, component) tuples."""
        found = original.fget(self)
        if not _LOOKING.get():
            return found
        _LOOKING.set(False)
        return [(name, _component(name, proc)) for name, proc in found]

    patches.put(kind, "pipeline", property(pipeline, doc=original.__doc__))


def _step(name: str, proc: Any) -> Step:
    return step(
        name,
        rule="a spaCy component",
        source=f"spacy {name}",
        function=qualified(proc if hasattr(proc, "__qualname__") else type(proc)),
    )


def _component(name: str, proc: Any) -> Any:
    made = _step(name, proc)
    return observed(proc, lambda _owner, args, _kwargs: Call(made, args[0]))


def _call(_nlp: Any, args: tuple[Any, ...], _kwargs: Any) -> Call:
    made = step("nlp", rule="a spaCy language")
    _LOOKING.set(True)
    return Call(made, args[0] if args else None, root(), lambda *_: _LOOKING.set(False))


def _make_doc(_nlp: Any, args: tuple[Any, ...], _kwargs: Any) -> Call:
    made = step("tokenizer", rule="a spaCy component", source="spacy tokenizer")
    return Call(made, args[0] if args else None)


def _pipe(wrapped: Any, _nlp: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
    """Record a stream as one call, from its first document to its last."""
    try:
        if suppressed() or kwargs.get("as_tuples"):
            return wrapped(*args, **kwargs)  # which streams its documents by itself
        made = step("nlp.pipe", rule="a spaCy language", kind="coroutine")
    except Exception as error:  # noqa: BLE001 - never into spaCy
        _guard.caught("framework", error)
        return wrapped(*args, **kwargs)
    return _stream(made, wrapped(*args, **kwargs))


def _stream(made: Step, documents: Iterator[Any]) -> Iterator[Any]:
    try:
        call = Lazy(made, None, root())
    except Exception as error:  # noqa: BLE001 - never into spaCy
        _guard.caught("framework", error)
        yield from documents
        return
    yield from call.over(documents)


class _Before:
    """The documents that come to a component, and the time spent getting them."""

    def __init__(self, documents: Any) -> None:
        self._documents = iter(documents)
        self.spent = 0

    def __iter__(self) -> _Before:
        return self

    def __next__(self) -> Any:
        began = clock()
        try:
            return next(self._documents)
        finally:
            self.spent += clock() - began


class _Component:
    """One run of a stream through one component."""

    def __init__(self, made: Step) -> None:
        self._slot = made.record.slot()
        self._count = 0
        self._busy = 0
        self._traced: Traced | None = None
        if TRACER.on:
            self._traced = begin_span(self._slot, None, [], nested=True)

    def note(self, took: int, error: BaseException | None = None) -> None:
        """Record one document."""
        slot = self._slot
        now = clock()
        if now >= slot.roll:
            slot.turn_over(now)
        if error is None:
            slot.record(took)
            self._count += 1
        else:
            kind = slot.stage.error_type(error)
            slot.failure(_names.FAILURE, kind).record(took)
        self._busy += took
        worker = slot.worker
        if worker.slot.since:  # the stage around it was not busy meanwhile
            worker.away += took
            worker.special = True

    def end(self) -> None:
        """End the run's span."""
        if self._traced is not None:
            span = self._traced.span
            span.set_attribute(_names.BATCH_SIZE, self._count)
            span.set_attribute(_BUSY, self._busy / 1e9)
            span.end()


def _observed_pipe(original: Any) -> Any:
    def _pipe(
        docs: Any, proc: Any, name: str, default_error_handler: Any, kwargs: Any
    ) -> Iterator[Any]:
        before = component = None
        handler = default_error_handler
        try:
            if not suppressed():
                before = _Before(docs)
                made = _step(name, proc)
                component = _Component(made)
                handler = _telling(made, handler)
        except Exception as error:  # noqa: BLE001 - never into spaCy
            _guard.caught("framework", error)
        if before is None or component is None:
            yield from original(docs, proc, name, default_error_handler, kwargs)
            return
        source = original(before, proc, name, handler, kwargs)
        yield from _drive(source, before, component)

    return _pipe


def _telling(made: Step, inner: Any) -> Any:
    """The same handler; what it does not raise again, nobody else would hear of."""

    def handler(name: str, proc: Any, docs: Any, error: Exception) -> Any:
        found = inner(name, proc, docs, error)
        try:
            for doc in docs:
                made.fail(error, doc)
        except Exception as problem:  # noqa: BLE001 - never into spaCy
            _guard.caught("framework", problem)
        return found

    return handler


def _drive(source: Any, before: _Before, component: _Component) -> Iterator[Any]:
    try:
        while True:
            spent, began = before.spent, clock()
            try:
                doc = next(source)
            except StopIteration:
                return
            except BaseException as error:
                if not isinstance(error, GeneratorExit):
                    took = clock() - began - (before.spent - spent)
                    component.note(took, error)
                step_aside(error)
                raise
            component.note(clock() - began - (before.spent - spent))
            yield doc
            doc = None
    finally:
        component.end()
        source.close()


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "spacy.util": _util,
    "spacy.language": _language,
}
