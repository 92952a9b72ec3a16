"""Wrapped functions and methods that pickle and copy as what they wrap does.

Programs send them: a bound method to a pool, a function to joblib. What is pickled has
nothing of ours in it, so that a process without stagelight can read it.
"""

from __future__ import annotations

import copy
import sys
from types import ModuleType
from typing import Any

import wrapt


class _Plain:
    """How a wrapper copies."""

    __wrapped__: Any

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        inner = self.__wrapped__
        owner = _owner(inner)
        if owner is None:
            return self
        return getattr(copy.deepcopy(owner, memo), inner.__name__)


class _Bound(_Plain, wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]
    """A wrapped method, taken from an object or its class."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        inner: Any = self.__wrapped__
        owner = _owner(inner)
        if owner is None:
            owner, _ = _found(inner)
        return getattr, (owner, inner.__name__)


class Wrapper(_Plain, wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """A wrapped function, or a method as its class has it."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        inner: Any = self.__wrapped__
        owner = _owner(inner)
        if owner is not None:
            return getattr, (owner, inner.__name__)
        if _found(inner)[1] is self:
            return inner.__qualname__
        # What a class has that is sent by value, or nobody knows the name of.
        return copy.copy, (inner,)  # of a function that is the function

    __bound_function_wrapper__ = _Bound


def _found(function: Any) -> tuple[Any, Any]:
    """What has a function, and under its name there."""
    found: Any = sys.modules.get(function.__module__)
    place: Any = None
    for part in function.__qualname__.split("."):
        place, found = found, getattr(found, part, None)
    return place, found


def _owner(function: Any) -> Any:
    """What a method is bound to, None for a function."""
    found = getattr(function, "__self__", None)
    return None if isinstance(found, ModuleType) else found
