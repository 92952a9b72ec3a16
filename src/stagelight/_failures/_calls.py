"""How a failed call was made, beside its event: function, instance, further arguments.

Read from the frames of the exception, so that a call that succeeds pays nothing.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from stagelight import _outcomes
from stagelight._failures import _traces

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from stagelight._sinks import EventRecord

_ABSENT: Any = inspect.Parameter.empty


class Call(NamedTuple):
    """How a failed call was made.

    Attributes:
        function: What a pool ran, None where the stage itself knows.
        instance: The object whose method ran, or None.
        more: Positional arguments after the event.
        named: Keyword arguments beside it.
    """

    function: Any
    instance: Any
    more: tuple[Any, ...]
    named: dict[str, Any]

    @property
    def single(self) -> bool:
        """Whether the event is all that was passed."""
        return not self.more and not self.named


NO_CALL = Call(None, None, (), {})


def call_of(record: EventRecord) -> Call:
    """How the call of a failed event was made, as far as frames tell.

    Args:
        record: What was announced.
    """
    try:
        return _call_of(record)
    except Exception:  # noqa: BLE001 - a property or __getattr__ of the user's
        return NO_CALL


def _call_of(record: EventRecord) -> Call:
    if record.call is not None:
        function, args, kwargs = record.call
        instance = getattr(function, "__self__", None)
        return Call(function, instance, tuple(args[1:]), dict(kwargs))
    error = record.exception
    wrapper, task, entry = _frames(error.__traceback__ if error else None)
    if task is not None:
        held = task.f_locals
        instance = getattr(held["function"], "__self__", None)
        return Call(held["function"], instance, held["args"][1:], held["kwargs"])
    outer = None if wrapper is None else _arguments(wrapper, record.event)
    inner = None if entry is None else _arguments(entry, record.event)
    # The wrapper has what was passed, where it knows the parameters: the function may
    # have given its own other values since.
    known = outer if wrapper is not None and _is_exact(wrapper) else inner or outer
    instance = None if inner is None else _instance(inner[0])
    if known is None:
        return NO_CALL._replace(instance=instance)
    return Call(None, instance, known[1], known[2])


def _frames(
    trace: TracebackType | None,
) -> tuple[FrameType | None, FrameType | None, FrameType | None]:
    """Frame of our wrapper, of a pool's task, and of the program's function."""
    wrapper = task = None
    while trace is not None:
        frame = trace.tb_frame
        code = frame.f_code
        if code.co_filename == _outcomes.CODE_FILE:
            wrapper = frame
        elif not code.co_filename.startswith(_traces.OURS):
            return wrapper, task, frame
        elif code.co_name == "invoke" and "function" in code.co_varnames:
            task = frame
        trace = trace.tb_next
    return wrapper, task, None


def _is_exact(frame: FrameType) -> bool:
    """Whether a frame names its parameters, rather than passing all of them on."""
    code = frame.f_code
    return not (
        code.co_argcount + code.co_kwonlyargcount == 0
        and code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    )


def _arguments(
    frame: FrameType, event: Any
) -> tuple[list[Any], tuple[Any, ...], dict[str, Any]] | None:
    """What a frame got before its event, after it, and by name; None without it."""
    code, held = frame.f_code, frame.f_locals
    plain, named = code.co_argcount, code.co_kwonlyargcount
    names = list(code.co_varnames)
    rest = names[plain + named :]
    args = held.get(rest.pop(0), ()) if code.co_flags & inspect.CO_VARARGS else ()
    kwargs = held.get(rest.pop(0), {}) if code.co_flags & inspect.CO_VARKEYWORDS else {}
    if any(name not in held for name in names[: plain + named]):
        return None
    positional = [*(held[name] for name in names[:plain]), *args]
    keywords = {
        **{name: held[name] for name in names[plain : plain + named]},
        **kwargs,
    }
    for number, value in enumerate(positional):
        if value is event:
            return positional[:number], tuple(positional[number + 1 :]), keywords
    for name, value in keywords.items():
        if value is event:
            del keywords[name]
            return positional, (), keywords
    return None


def _instance(before: list[Any]) -> Any:
    """The object that a method was called of, if it is one."""
    one = before[0] if before else None
    return None if one is None or isinstance(one, type) else one


def made_of(instance: Any) -> tuple[str, dict[str, Any]]:
    """What an object could be made of again.

    Args:
        instance: The object.

    Returns:
        ``arguments`` of its class that differ from their defaults, where its fields
        tell all that are needed; else ``state``: all its fields.
    """
    state = dict(getattr(instance, "__dict__", {}))
    try:
        parameters = inspect.signature(type(instance)).parameters.values()
    except (TypeError, ValueError):
        return "state", state
    needed: dict[str, Any] = {}
    for one in parameters:
        if one.kind in {one.VAR_POSITIONAL, one.VAR_KEYWORD}:
            continue
        found = _ABSENT
        for name in (one.name, f"_{one.name}"):
            found = state.get(name, found)
        if found is _ABSENT:
            if one.default is _ABSENT:
                return "state", state
        elif one.default is _ABSENT or _differs(found, one.default):
            needed[one.name] = found
    return "arguments", needed


def _differs(one: Any, other: Any) -> bool:
    if one is other:
        return False
    try:
        return bool(one != other)
    except Exception:  # noqa: BLE001 - the user's own
        return True
