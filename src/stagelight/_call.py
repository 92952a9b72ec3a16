"""Compiled wrappers: one body for each kind of callable, with its exact signature.

A wrapper that took ``*args, **kwargs`` would build a tuple and a dict for every event,
and would report a wrong call only when a generator runs. So the body below is compiled
once for each signature, as dataclasses do.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
from keyword import iskeyword
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from stagelight._async_items import first_step, step
from stagelight._bodies import (
    BODIES,
    NATIVE_ASYNC_GENERATOR,
    NATIVE_CALL,
    NATIVE_COROUTINE,
    NATIVE_GENERATOR,
    OLD_COROUTINE,
)
from stagelight._compiled import native_names
from stagelight._current import CURRENT
from stagelight._deferred import remember
from stagelight._driving import drive, drive_on
from stagelight._frames import enter, fail, finish
from stagelight._items import begin_items
from stagelight._light import light_fail, light_finish
from stagelight._outcomes import CODE_FILE
from stagelight._quiet import references
from stagelight._tracer import TRACER
from stagelight._trail import claim, goes_on, stale

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._records import Kind, StageRecord

#: Attribute of observed callables that holds their stage.
MARK: Final = "__stagelight_stage__"

_OURS: Final = re.compile(r"\b_[a-z]\w*", re.IGNORECASE)
_CODES: Final[dict[str, Any]] = {}


class Rendered(NamedTuple):
    """A callable's parameters as text.

    Attributes:
        parameters: As in its definition.
        arguments: What passes them on.
        event: Expression for the event, or ``None``.
        first: Expression for the first positional argument, or nothing.
        names: All parameter names.
        values: The default values, by the names that ``parameters`` has for them.
    """

    parameters: str
    arguments: str
    event: str
    first: str
    names: tuple[str, ...]
    values: dict[str, Any]


def compile_wrapper(
    stage: StageRecord,
    target: Callable[..., Any],
    *,
    skip: int = 0,
    kind: Kind | None = None,
    twin: Callable[[], Any] | None = None,
) -> Callable[..., Any]:
    """Make the observed twin of a callable.

    Args:
        stage: Where its calls are recorded.
        target: The function to run.
        skip: How many parameters come before the event: ``self``, or what a partial
            binds.
        kind: How its calls run; by default as the stage's.
        twin: Gives the object whose own ``process`` is to run, looked up anew for
            each call; the first parameter is its observed twin and not passed on.
    """
    kind = kind or stage.kind
    body = BODIES[kind]
    if kind == "coroutine" and not inspect.iscoroutinefunction(target):
        body = OLD_COROUTINE
    names: dict[str, Any] = {
        "_local": stage.local,
        "_slot_of": stage.slot,
        "_stage": stage,
        "_target": target,
        "_twin": twin,
        "_enter": enter,
        "_tracer": TRACER,
        "_current": CURRENT.get,
        "_set": CURRENT.set,
        "_reset": CURRENT.reset,
        "_refs": references,
        "_stale": stale,
        "_claim": claim,
        "_remember": remember,
        "_goes_on": goes_on,
        "_light_finish": light_finish,
        "_light_fail": light_fail,
        "_id": id,
        "_finish": finish,
        "_fail": fail,
        "_drive": drive,
        "_drive_on": drive_on,
        "_begin": begin_items,
        "_first_step": first_step,
        "_step": step,
        "_coroutine": types.coroutine,
        "_clock": clock,
        "_AttributeError": AttributeError,
        "_BaseException": BaseException,
        "_RecursionError": RecursionError,
        "_StopIteration": StopIteration,
        "_StopAsyncIteration": StopAsyncIteration,
    }
    text = render(target, skip, twin=twin is not None)
    twin = twin if text.first else None
    if native := native_names(stage, kind, target, twin):
        names |= native
        if kind == "generator":
            body = NATIVE_GENERATOR
        elif kind == "async generator":
            body = NATIVE_ASYNC_GENERATOR
        elif kind == "call":
            body = NATIVE_CALL + body.partition("\n")[2]
        elif body is not OLD_COROUTINE:
            body = NATIVE_COROUTINE
    # Through the proxy, ``__wrapped__`` would cost a fifth of the whole call.
    call = "_twin().process" if twin else "_target"
    wrapper = build(body.replace("{target}", call), text, names)
    if hasattr(target, "__name__"):
        functools.update_wrapper(wrapper, target)
    setattr(wrapper, MARK, stage)
    return wrapper


def build(body: str, text: Rendered, names: dict[str, Any]) -> Callable[..., Any]:
    """Compile a body that defines ``wrapper``.

    Args:
        body: Its text, in which our own names begin with one underscore.
        text: The parameters.
        names: What our own names mean.
    """
    prefix = _prefix({*_OURS.findall(body), *names}, text.names)
    source = _OURS.sub(lambda found: prefix + found[0], body).format(**text._asdict())
    code = _CODES.get(source)
    if code is None:
        code = _CODES[source] = compile(source, CODE_FILE, "exec")
    space = {prefix + name: value for name, value in names.items()}
    space |= {"__name__": __name__, **text.values}
    exec(code, space)  # noqa: S102 - our own text above, parameter names aside
    wrapper: Any = space["wrapper"]
    # Of its own: the interpreter's inline caches are in it, and each has other globals.
    wrapper.__code__ = wrapper.__code__.replace()
    return cast("Callable[..., Any]", wrapper)


def _prefix(ours: set[str], names: tuple[str, ...]) -> str:
    """What to put before our own names so that no parameter has one of them."""
    prefix = ""
    while any(prefix + name in names for name in ours):
        prefix += "_s"
    return prefix


def render(target: Callable[..., Any], skip: int, *, twin: bool = False) -> Rendered:
    """A function's own parameters, as its code has them; of other callables, any.

    ``inspect.signature`` would believe a ``__signature__`` that promises another form.

    Args:
        target: The callable.
        skip: How many parameters come before the event.
        twin: Whether the first one is not passed on.
    """
    event = f"(args[{skip}] if args[{skip}:] else None)"
    anything = Rendered("*args, **kwargs", "*args, **kwargs", event, "", (), {})
    if not isinstance(target, types.FunctionType):
        return anything
    code = target.__code__
    plain, named = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames[: plain + named]
    rest = list(code.co_varnames[plain + named :])
    args = rest.pop(0) if code.co_flags & inspect.CO_VARARGS else ""
    kwargs = rest.pop(0) if code.co_flags & inspect.CO_VARKEYWORDS else ""
    taken = (*names, *filter(None, (args, kwargs)))
    if not all(name.isidentifier() and not iskeyword(name) for name in taken):
        return anything  # made by hand
    stem, defaults = _defaults(target, names[:plain], taken)
    listed = [f"{name}={stem}{name}" if name in defaults else name for name in names]
    parameters = listed[:plain]
    if code.co_posonlyargcount:
        parameters.insert(code.co_posonlyargcount, "/")
    if args or named:
        parameters.append(f"*{args}")
    parameters += listed[plain:]
    arguments = list(names[twin:plain])
    if args:
        arguments.append(f"*{args}" if plain or not twin else f"*{args}[1:]")
    arguments += [f"{name}={name}" for name in names[plain:]]
    if kwargs:
        parameters.append(f"**{kwargs}")
        arguments.append(f"**{kwargs}")
    event = "None"
    if skip < plain:
        event = names[skip]
    elif args:
        event = f"({args}[{skip - plain}] if {args}[{skip - plain}:] else None)"
    elif names[plain:]:
        event = names[plain]
    first = names[0] if plain else f"{args}[0]" if args else ""
    values = {stem + name: value for name, value in defaults.items()}
    return Rendered(
        ", ".join(parameters), ", ".join(arguments), event, first, taken, values
    )


def _defaults(
    target: types.FunctionType, plain: tuple[str, ...], taken: tuple[str, ...]
) -> tuple[str, dict[str, Any]]:
    """The default values by parameter, and a free beginning for names of them."""
    pairs = zip(reversed(plain), reversed(target.__defaults__ or ()), strict=False)
    stem = "_default_"
    while any(name.startswith(stem) for name in taken):
        stem += "_"
    return stem, {**dict(pairs), **(target.__kwdefaults__ or {})}
