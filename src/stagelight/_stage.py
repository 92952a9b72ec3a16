"""Observe a stage: any callable, or an object with ``.process(event)``."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

from stagelight._automatic import claim, plain
from stagelight._call import MARK, compile_wrapper
from stagelight._errors import ConfigurationError
from stagelight._records import Kind, StageRecord

#: Makes the record of a stage: default name, kind, function name, source -> record.
MakeStage = Callable[[str, Kind, str, str], StageRecord]

_DESCRIPTORS = (classmethod, staticmethod)


def observe_stage(target: Any, make: MakeStage) -> Any:
    """The observed twin of a stage; one that is observed already stays as it is.

    Args:
        target: Function, method, class- or static method, coroutine function,
            generator function, partial, callable, class or object with ``.process``.
        make: Makes the record.

    Raises:
        ConfigurationError: It is none of these.
    """
    if stage_of(target) is not None:
        return target
    if isinstance(target, (classmethod, staticmethod)):
        return _observe_descriptor(target, make)
    if isinstance(target, type):
        return _observe_class(target, make)
    callables = (types.FunctionType, types.MethodType, functools.partial)
    process = getattr(target, "process", None)
    if callable(process) and not isinstance(target, callables):
        return _observe_object(target, process, make)
    if callable(target):
        return _observe_callable(target, make)
    raise ConfigurationError(
        f"{target!r} is no stage: a {type(target).__qualname__} has neither "
        "a .process(event) method nor is it callable; pass the object that does the "
        "work, or a function"
    )


def stage_of(target: Any) -> StageRecord | None:
    """The stage that a callable or object records into already, if any.

    Args:
        target: Anything; some objects claim to have every attribute.
    """
    while isinstance(target, functools.partial):
        target = target.func
    record = getattr(target, MARK, None)
    return record if isinstance(record, StageRecord) else None


def note_twin(observed: Any) -> None:
    """Let a stage's record find the observed stage again, for a replay.

    Args:
        observed: The drop-in that the program was given.
    """
    record = stage_of(observed)
    if record is not None and not isinstance(observed, (type, *_DESCRIPTORS)):
        with contextlib.suppress(TypeError):  # no weak reference to it
            record.twin = weakref.ref(observed)


def _observe_object(target: Any, process: Any, make: MakeStage) -> Any:
    if stage_of(process) is not None:
        return target  # its class is observed
    if plain(process) is not process:
        claim(type(target))
    from stagelight._proxies import ObservedStage

    return ObservedStage(target, _make=make)


def _observe_callable(target: Any, make: MakeStage) -> Any:
    function = isinstance(target, types.FunctionType)
    skip = 1 if function and _takes_self(target) else 0
    record = make_record(target, make)
    if function and not is_published(target):
        return observed_twin(target, record, skip)
    # Its name still means the original: pickling by name would find that one.
    return proxy(target, record, skip)


def proxy(target: Any, record: StageRecord, skip: int = 0) -> Any:
    """The observed twin of a callable as an object that stands for it.

    Args:
        target: The callable.
        record: Where its calls are recorded.
        skip: How many of its parameters come before the event.
    """
    from stagelight._proxies import observed_callable

    return observed_callable(target, observed_twin(target, record, skip), record)


def make_record(function: Any, make: MakeStage) -> StageRecord:
    """The record of a callable.

    Args:
        function: The callable.
        make: Makes it.
    """
    short, name, source = _describe(function)
    return make(short, kind_of(function), name, source)


def observed_twin(function: Any, record: StageRecord, skip: int = 0) -> Any:
    """Compile the Python function at the heart of a callable, and bind it as before.

    So signatures, argument errors, and the kind of function stay exactly the same.

    Args:
        function: The callable.
        record: Where its calls are recorded.
        skip: How many of its parameters come before the event.
    """
    function = plain(function)  # an explicit stage takes the automatic one's place
    if isinstance(function, functools.partial):
        inner = observed_twin(function.func, record, skip + len(function.args))
        return functools.partial(inner, *function.args, **function.keywords)
    if isinstance(function, types.MethodType):
        inner = observed_twin(function.__func__, record, skip + 1)
        return types.MethodType(inner, function.__self__)
    if not isinstance(function, types.FunctionType):
        call = getattr(type(function), "__call__", None)  # noqa: B004 - its kind matters
        if isinstance(call, types.FunctionType):
            inner = observed_twin(call, record, skip + 1)
            return types.MethodType(inner, function)
    return compile_wrapper(record, function, skip=skip, kind=kind_of(function))


def kind_of(function: Any) -> Kind:
    """How calls of a callable run, as its code says.

    A function that is only marked as a coroutine function is a plain call: what it
    returns may be any awaitable.
    """
    while not isinstance(function, types.FunctionType):
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        else:
            function = getattr(type(function), "__call__", None)  # noqa: B004
            if not isinstance(function, types.FunctionType):
                return "call"
    flags = function.__code__.co_flags
    if flags & inspect.CO_ASYNC_GENERATOR:
        return "async generator"
    if flags & (inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE):
        return "coroutine"
    return "generator" if flags & inspect.CO_GENERATOR else "call"


def _describe(function: Any) -> tuple[str, str, str]:
    """Default stage name, function name and source of a callable."""
    while isinstance(function, functools.partial):
        function = function.func
    kind = type(function)
    name = getattr(function, "__qualname__", None)
    module = getattr(function, "__module__", None)
    if isinstance(function, types.MethodType) and not isinstance(
        function.__self__, type
    ):
        kind = type(function.__self__)
        name = f"{kind.__qualname__}.{function.__name__}"
        module = kind.__module__
    if not isinstance(name, str):
        name, module = kind.__qualname__, kind.__module__
    short = name.rpartition("<locals>.")[2].removesuffix(".process")
    return short, name, f"{module}.{name}"


def _takes_self(function: types.FunctionType) -> bool:
    """Whether a function is being defined in a class body."""
    outer = function.__qualname__.rpartition(".")[0]
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    in_class = bool(outer) and not outer.endswith("<locals>")
    return in_class and bool(names) and names[0] in {"self", "cls", "mcs"}


def is_published(target: Any) -> bool:
    """Whether the qualified name of a callable means this very object.

    Args:
        target: A function, or an object that stands for one.
    """
    found: Any = sys.modules.get(getattr(target, "__module__", None) or "")
    for part in str(getattr(target, "__qualname__", "")).split("."):
        found = getattr(found, part, None)
    return found is target


def _observe_descriptor(target: Any, make: MakeStage) -> Any:
    function = target.__func__
    if stage_of(function) is not None:
        return target
    skip = 1 if isinstance(target, classmethod) else 0
    return type(target)(observed_twin(function, make_record(function, make), skip))


def _observe_class(target: type, make: MakeStage) -> type:
    process: Any = inspect.getattr_static(target, "process", None)
    if stage_of(getattr(target, "process", None)) is not None:
        return target
    if isinstance(process, types.FunctionType):
        observed = observed_twin(process, make_record(process, make), 1)
    elif isinstance(process, (classmethod, staticmethod)):
        observed = _observe_descriptor(process, make)
    else:
        raise ConfigurationError(
            f"class {target.__qualname__} is no stage: it has no process(self, event) "
            "method; define one, or observe its instances' own method"
        )
    target.process = observed  # type: ignore[attr-defined]
    return target
