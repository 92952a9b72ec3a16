"""Wrapping a framework's functions so that it can be undone."""

from __future__ import annotations

import functools
import inspect
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight._aside import step_aside
from stagelight.instrumentation.frameworks._wrapper import Wrapper
from stagelight.instrumentation.frameworks._wrapping import (
    PLACE,
    observed,
    quietly,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight.instrumentation.frameworks._wrapping import Look, Observe

    Enter = Callable[
        [Any, tuple[Any, ...], dict[str, Any]], Callable[[], object] | None
    ]
    Tell = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], object]


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
        self.put(owner, name, told(inspect.getattr_static(owner, name), tell))

    def timed(self, owner: Any, name: str, tell: Callable[[float], object]) -> None:
        """Tell of each call that ended when it began.

        Args:
            owner: A class or module.
            name: The function's name in it.
            tell: Gets ``perf_counter()`` at the begin.
        """
        self.within(owner, name, lambda *_: partial(quietly, tell, perf_counter()))

    def within(self, owner: Any, name: str, enter: Enter) -> None:
        """Do something before each call, and undo it when the call has ended.

        Args:
            owner: A class or module.
            name: The name of a function in it that is no coroutine function.
            enter: Gets instance, arguments and keyword arguments, and gives what to
                do in the end, which must not fail, or None.
        """

        def wrapper(
            wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            leave = quietly(enter, instance, args, kwargs)
            try:
                return wrapped(*args, **kwargs)
            except BaseException as error:
                step_aside(error)
                raise
            finally:
                if leave is not None:
                    leave()

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
                _guard.caught(PLACE, error)
        while self._undo:
            quietly(self._undo.pop())


_ABSENT: Final = object()
