"""One observed ``process`` for a class and all that inherit it.

The stage is named after the type of ``self``: a base class whose ``process`` calls
hooks of its subclasses gives one stage for each of them. Of the definitions that a
type has along its bases, the first observed one counts; what it reaches by
``super().process()`` is the same call.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight._aside import step_aside
from stagelight._automatic import CLAIMED, ON_CLAIM, mark, plain
from stagelight._call import build, compile_wrapper, render
from stagelight._register import add_stage
from stagelight._stage import kind_of
from stagelight.instrumentation._ledger import LEDGER, Entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType

_CALL: Final = "(_table.get(_type({first})) or _find(_type({first})))({arguments})"
_RAISE_ON: Final = """\
    except _BaseException as _error:
        _step_aside(_error)
        raise
"""
_BODIES: Final = {
    "call": f"""\
def wrapper({{parameters}}):
    try:
        return {_CALL}
{_RAISE_ON}""",
    "coroutine": f"""\
async def wrapper({{parameters}}):
    try:
        return await {_CALL}
{_RAISE_ON}""",
    "generator": f"""\
def wrapper({{parameters}}):
    try:
        return (yield from {_CALL})
{_RAISE_ON}""",
    # What is thrown in is handed on outside of ``except``: see ``_call``.
    "async generator": f"""\
async def wrapper({{parameters}}):
    _inner = {_CALL}
    _sent = _thrown = None
    _next = _inner.__anext__()
    while True:
        try:
            _item = await _next
        except _StopAsyncIteration:
            return
        except _BaseException as _error:
            _step_aside(_error)
            raise
        finally:
            _sent = _thrown = _next = None
        try:
            _sent = yield _item
        except _BaseException as _error:
            _thrown = _error
        finally:
            _item = None
        _next = _inner.asend(_sent) if _thrown is None else _inner.athrow(_thrown)
""",
}
#: Attribute of a dispatcher: what it chose, by type.
_TABLE: Final = "__stagelight_table__"
#: Types that one definition remembers; a program may make more at run time.
_MOST: Final = 512


def dispatcher(function: FunctionType) -> Callable[..., Any] | None:
    """The observed twin of a ``process`` method, or None where it takes no event.

    Args:
        function: The method as its class defines it.
    """
    text = render(function, 1)
    if not text.first or text.event == "None":
        return None
    table: dict[type, Callable[..., Any]] = {}

    def find(kind: type) -> Callable[..., Any]:
        call = _choose(kind, function, twin)
        if len(table) < _MOST:
            table[kind] = call
        return call

    names = {
        "_table": table,
        "_find": find,
        "_type": type,
        "_step_aside": step_aside,
        "_BaseException": BaseException,
        "_StopAsyncIteration": StopAsyncIteration,
    }
    twin = build(_BODIES[kind_of(function)], text, names)
    functools.update_wrapper(twin, function)
    mark(twin, function)
    setattr(twin, _TABLE, table)
    return twin


def _forget(kind: type) -> None:
    """Choose anew for a type that the program has claimed."""
    for base in kind.__mro__:
        getattr(base.__dict__.get("process"), _TABLE, {}).pop(kind, None)


ON_CLAIM.append(_forget)


def _choose(
    kind: type, function: FunctionType, twin: Callable[..., Any]
) -> Callable[..., Any]:
    """The method that records calls of a type, or the plain one inside of it."""
    try:
        if kind in CLAIMED:
            return function
        defined = [base.__dict__.get("process") for base in kind.__mro__]
        first = next((one for one in defined if plain(one) is not one), twin)
        if first is not twin and twin in defined:
            return function
        return _record(kind, function)
    except Exception as error:  # noqa: BLE001 - never into the pipeline
        _guard.caught("instrument", error)
        return function


def _record(kind: type, function: FunctionType) -> Callable[..., Any]:
    name = kind.__qualname__.rpartition("<locals>.")[2]
    source = f"{kind.__module__}.{kind.__qualname__}"
    record = LEDGER.pipeline._record  # noqa: SLF001 - as the emitters do
    stage = add_stage(
        record,
        name,
        kind_of(function),
        f"{kind.__qualname__}.process",
        source,
        unique=record.sources.get(name, source) != source,
    )
    LEDGER.note(Entry("stage", stage.name, "its class has a process method", source))
    return compile_wrapper(stage, function, skip=1)
