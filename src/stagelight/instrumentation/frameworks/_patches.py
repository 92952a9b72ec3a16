"""Wrapping a framework's functions so that it can be undone, and nothing gets out."""

from __future__ import annotations

import functools
import inspect
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from stagelight import _guard
from stagelight._aside import step_aside
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
    Tell = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], object]

#: What ``opentelemetry.instrumentation.utils`` sets, without importing it.
_SUPPRESSED: Final = "suppress_instrumentation"
_PLACE: Final = "framework"


def suppressed() -> bool:
    """Whether this context wants no telemetry, as exporters do."""
    return bool(otel_context.get_value(_SUPPRESSED))


class Patches:
    """What was wrapped for one framework."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any]] = []
        self._undo: list[Callable[[], object]] = []

    def around(self, owner: Any, name: str, observe: Observe) -> None:
        """Run calls of a function or coroutine function as ``observe`` says.

        Args:
            owner: A class or module.
            name: The function's name in it.
            observe: Gives the ``Call``, or None.
        """
        self.put(owner, name, observed(inspect.getattr_static(owner, name), observe))

    def before(self, owner: Any, name: str, look: Look) -> None:
        """Look at the arguments of each call first; a call that it cannot change.

        Args:
            owner: A class or module.
            name: The function's name in it.
            look: Gets instance, arguments and keyword arguments.
        """

        def wrapper(
            wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            quietly(look, instance, args, kwargs)
            try:
                return wrapped(*args, **kwargs)
            except BaseException as error:
                step_aside(error)
                raise

        original = inspect.getattr_static(owner, name)
        self.put(owner, name, Wrapper(original, wrapper))

    def after(self, owner: Any, name: str, tell: Tell) -> None:
        """Tell of each call that ended, and of its result.

        Args:
            owner: A class or module.
            name: The name of a function or coroutine function in it.
            tell: Gets instance, arguments, keyword arguments, and the result or the
                exception.
        """
        original = inspect.getattr_static(owner, name)
        inner = getattr(original, "__func__", original)

        def wrapper(
            wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            try:
                result = wrapped(*args, **kwargs)
            except BaseException as error:
                step_aside(error)
                quietly(tell, instance, args, kwargs, error)
                raise
            quietly(tell, instance, args, kwargs, result)
            return result

        async def awaited(
            wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            try:
                result = await wrapped(*args, **kwargs)
            except BaseException as error:
                step_aside(error)
                quietly(tell, instance, args, kwargs, error)
                raise
            quietly(tell, instance, args, kwargs, result)
            return result

        chosen: Any = awaited if inspect.iscoroutinefunction(inner) else wrapper
        self.put(owner, name, Wrapper(original, chosen))

    def accepted(self, owner: Any, name: str, tell: Tell) -> None:
        """Tell of calls that returned True, as ``after``; others cost next to nothing.

        Args:
            owner: A class.
            name: The name of a method in it that is no coroutine function.
            tell: Gets instance, arguments, keyword arguments and True.
        """

        def make(original: Any) -> Any:
            def twin(instance: Any, *args: Any, **kwargs: Any) -> Any:
                try:
                    result = original(instance, *args, **kwargs)
                except BaseException as error:
                    step_aside(error)
                    raise
                if result is True:
                    quietly(tell, instance, args, kwargs, result)
                return result

            return twin

        self.replace(owner, name, make)

    def timed(self, owner: Any, name: str, tell: Callable[[float], object]) -> None:
        """Tell of each call that ended when it began.

        Args:
            owner: A class or module.
            name: The function's name in it.
            tell: Gets ``perf_counter()`` at the begin.
        """

        def wrapper(
            wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            began = perf_counter()
            try:
                return wrapped(*args, **kwargs)
            except BaseException as error:
                step_aside(error)
                raise
            finally:
                quietly(tell, began)

        original = inspect.getattr_static(owner, name)
        self.put(owner, name, Wrapper(original, wrapper))

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Put a function of our own in the place of one, pickled by the same name.

        Args:
            owner: A class or module.
            name: The function's name in it.
            make: Maps the original to what takes its place.
        """
        original = inspect.getattr_static(owner, name)
        twin = make(original)
        functools.update_wrapper(twin, original)
        self.put(owner, name, twin)

    def put(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute, to be set back by ``undo``.

        Args:
            owner: A class, module or object.
            name: The attribute's name.
            value: Its new value.
        """
        own = vars(owner).get(name, _ABSENT)
        setattr(owner, name, value)
        self._done.append((owner, name, own))

    def finally_(self, undo: Callable[[], object]) -> None:
        """Do something more when all is undone.

        Args:
            undo: What to do.
        """
        self._undo.append(undo)

    def undo(self) -> None:
        """Put everything back, last first; what fails stops nothing else."""
        while self._done:
            owner, name, own = self._done.pop()
            try:
                if own is _ABSENT:
                    delattr(owner, name)
                else:
                    setattr(owner, name, own)
            except Exception as error:  # noqa: BLE001 - the others are to be put back
                _guard.caught(_PLACE, error)
        while self._undo:
            quietly(self._undo.pop())


_ABSENT: Final = object()


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
        _guard.caught(_PLACE, error)
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
