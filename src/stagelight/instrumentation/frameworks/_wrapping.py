"""Wrapping a framework's function so that nothing of ours gets out of it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from stagelight import _guard
from stagelight._aside import step_aside
from stagelight._current import CURRENT, POSSIBLE
from stagelight._journey import enclosing
from stagelight._outcomes import CODE_FILE
from stagelight._workers import this_worker
from stagelight.instrumentation.frameworks._wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight.instrumentation.frameworks._calls import Call

    Observe = Callable[[Any, tuple[Any, ...], dict[str, Any]], Call | None]
    Direct = Callable[[], Callable[[Any, tuple[Any, ...], dict[str, Any]], Any] | None]
    Look = Callable[[Any, tuple[Any, ...], dict[str, Any]], object]

#: What ``opentelemetry.instrumentation.utils`` sets, without importing it.
SUPPRESSED: Final = "suppress_instrumentation"
PLACE: Final = "framework"
current: Final = CURRENT.get if POSSIBLE else otel_context.get_current


def suppressed() -> bool:
    """Whether this context wants no telemetry, as exporters do."""
    return bool(current().get(SUPPRESSED))


def observed(function: Any, observe: Observe, direct: Direct | None = None) -> Any:
    """A function that runs its calls as ``observe`` says, and is equal to the original.

    Args:
        function: A function, coroutine function or bound method.
        observe: Gives the ``Call``, or None.
        direct: Gives what runs the call of a function that is no coroutine function,
            or None where ``observe`` is to be asked; must not fail.
    """
    inner = getattr(function, "__func__", function)
    coroutine = inspect.iscoroutinefunction(inner)
    wrapper = (_coroutine if coroutine else _plain)(observe)
    if direct is not None and not coroutine:
        wrapper = _directly(direct, wrapper)
    return Wrapper(function, wrapper)


def told(function: Any, tell: Callable[..., object], begin: Look | None = None) -> Any:
    """A function that tells of each call that ended, and is equal to the original.

    Args:
        function: A function or coroutine function.
        tell: Gets what ``begin`` gave, or else instance, arguments and keyword
            arguments; then the result or the exception.
        begin: Looks at instance, arguments and keyword arguments first.
    """

    def plain(
        wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call: tuple[Any, ...] = (instance, args, kwargs)
        if begin is not None:
            call = (quietly(begin, *call),)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            step_aside(error)
            quietly(tell, *call, error)
            raise
        quietly(tell, *call, result)
        return result

    async def awaited(
        wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call: tuple[Any, ...] = (instance, args, kwargs)
        if begin is not None:
            call = (quietly(begin, *call),)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            step_aside(error)
            quietly(tell, *call, error)
            raise
        quietly(tell, *call, result)
        return result

    inner = getattr(function, "__func__", function)
    return Wrapper(function, awaited if inspect.iscoroutinefunction(inner) else plain)


def quietly(function: Callable[..., object], *args: Any) -> Any:
    """What a function of ours returns, None where it raises or nothing is wanted.

    Args:
        function: The function.
        args: Its arguments.
    """
    try:
        if not suppressed():
            return function(*args)
    except Exception as error:  # noqa: BLE001 - never into the framework
        _guard.caught(PLACE, error)
    return None


def _trim(error: BaseException) -> None:
    """Drop our frames from the start of a traceback, but for one where calls nest.

    By that one the observed call around this one sees that the error was reported.
    """
    trace = error.__traceback__
    step_aside(error)
    if enclosing(this_worker()) is None:
        return
    while trace is not None and trace.tb_frame.f_code.co_filename != CODE_FILE:
        trace = trace.tb_next
    if trace is not None and trace is not error.__traceback__:
        trace.tb_next = error.__traceback__
        error.__traceback__ = trace


def _plain(observe: Observe) -> Any:
    def wrapper(
        wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = quietly(observe, instance, args, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        try:
            return call.run(wrapped, args, kwargs)
        except BaseException as error:
            _trim(error)
            raise

    return wrapper


def _directly(direct: Direct, asking: Any) -> Any:
    def wrapper(
        wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = None if suppressed() else direct()
        try:
            if call is None:
                return asking(wrapped, instance, args, kwargs)
            return call(wrapped, args, kwargs)
        except BaseException as error:
            _trim(error)
            raise

    return wrapper


def _coroutine(observe: Observe) -> Any:
    async def wrapper(
        wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = quietly(observe, instance, args, kwargs)
        if call is None:
            return await wrapped(*args, **kwargs)
        try:
            return await call.run_async(wrapped, args, kwargs)
        except BaseException as error:
            _trim(error)
            raise

    return wrapper
