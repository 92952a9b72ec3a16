"""Drop-ins for stages that are objects; apart, because they need wrapt.

Each proxy has a class of its own, whose ``process`` or ``__call__`` is the compiled
wrapper: a method that passed its arguments on would cost as much as the recording.
"""

from __future__ import annotations

import copy
import types
import weakref
from typing import TYPE_CHECKING, Any, Final, cast

import wrapt

from stagelight import _guard
from stagelight._call import compile_wrapper
from stagelight._errors import ConfigurationError
from stagelight._pipeline import Pipeline
from stagelight._register import check_name
from stagelight._stage import (
    is_published,
    kind_of,
    make_record,
    observed_twin,
    proxy,
    stage_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._records import StageRecord
    from stagelight._stage import MakeStage

#: Special methods that only some objects have, which the proxy then has as well.
_SPECIAL: Final = (
    "__aenter__",
    "__aexit__",
    "__aiter__",
    "__anext__",
    "__await__",
    "__call__",
    "__iter__",
    "__length_hint__",
    "__next__",
    "__reversed__",
)


class _Proxy(wrapt.ObjectProxy[Any]):
    """What both drop-ins share: they look, pickle and copy as what they stand for."""

    _self_record: StageRecord

    def __new__(cls, wrapped: Any, *_: Any, **__: Any) -> Any:
        space = {"__module__": cls.__module__, "__doc__": cls.__doc__}
        return super().__new__(type(cls.__name__, (cls,), space | _special(wrapped)))

    @property
    def __stagelight_stage__(self) -> StageRecord:
        """The stage that it records into."""
        return self._self_record

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle as what is wrapped, observed again where it is loaded."""
        if is_published(self):
            return self.__wrapped__.__qualname__
        record = self._self_record
        return restore, (self.__wrapped__, record.pipeline.name, record.name)

    def __copy__(self) -> Any:
        """Copy what is wrapped, and observe the copy."""
        return self._again(copy.copy(self.__wrapped__))

    def __deepcopy__(self, memo: Any) -> Any:
        """Copy what is wrapped deeply, and observe the copy."""
        return self._again(copy.deepcopy(self.__wrapped__, memo))

    def _again(self, wrapped: Any) -> Any:
        raise NotImplementedError


def _special(wrapped: Any) -> dict[str, Any]:
    """The special methods that a proxy needs to be as its object."""
    kind = type(wrapped)
    members: dict[str, Any] = {
        name: _delegate(name)
        for name in _SPECIAL
        if _defines(kind, name) and not _defines(wrapt.ObjectProxy, name)
    }
    if not _defines(kind, "__iter__") and not _defines(kind, "__getitem__"):
        members["__iter__"] = None  # how Python says that it cannot be iterated
    return members


def _defines(kind: type, name: str) -> bool:
    # hasattr would find what a metaclass defines.
    return any(name in vars(base) for base in kind.__mro__)


def _delegate(name: str) -> Callable[..., Any]:
    def special(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.__wrapped__, name)(*args, **kwargs)

    return special


class ObservedCallable(_Proxy):
    """Stands for a callable that is an object, and records its calls."""

    __module__ = "stagelight"

    def __init__(self, wrapped: Any, wrapper: Any, record: StageRecord) -> None:
        super().__init__(wrapped)
        self._self_record = record
        setattr(type(self), "__call__", staticmethod(wrapper))  # noqa: B010 - a class each

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind as the callable would."""
        wrapped = self.__wrapped__
        if instance is None or not hasattr(type(wrapped), "__get__"):
            return self
        bound = wrapped.__get__(instance, owner)
        if bound is wrapped:
            return self
        if isinstance(bound, types.MethodType) and bound.__func__ is wrapped:
            return types.MethodType(cast("Callable[..., Any]", self), instance)
        return proxy(bound, self._self_record)

    def _again(self, wrapped: Any) -> Any:
        if wrapped is self.__wrapped__:
            return self
        return proxy(wrapped, self._self_record)


def _reference(stage: Any) -> Callable[[], Any]:
    """The object, weakly where it can be: a class outlives its proxy until the GC."""
    try:
        return weakref.ref(stage)
    except TypeError:
        return lambda: stage


def observed_callable(
    wrapped: Any, wrapper: Any, record: StageRecord
) -> ObservedCallable:
    """The observed twin of a callable that is an object.

    Args:
        wrapped: The callable.
        wrapper: What records its calls.
        record: Where.
    """
    return ObservedCallable(wrapped, wrapper, record)


class ObservedStage(_Proxy):
    """A drop-in for an object with ``.process(event)``, which records its calls.

    Every other attribute is the wrapped object's own; ``isinstance``, pickling and
    copying work as before.

    Args:
        stage: The object.
        name: Name of the stage; by default that of its class.
        pipeline: Its pipeline, by default the one named by the service.
        event_id: Maps an event to its identifier for logs and spans.

    Raises:
        ConfigurationError: It has no ``.process``, or the name is taken.
    """

    __module__ = "stagelight"

    #: Shadowed by a function of each proxy's own class.
    process: Any = None

    def __init__(
        self,
        stage: Any,
        *,
        name: str | None = None,
        pipeline: Pipeline | None = None,
        event_id: Callable[[Any], object] | None = None,
        _make: MakeStage | None = None,
    ) -> None:
        if name is not None:
            check_name(name, "stage")
        super().__init__(stage)
        process = getattr(stage, "process", None)
        if not callable(process):
            raise ConfigurationError(
                f"{stage!r} is no stage: a {type(stage).__qualname__} has no "
                ".process(event) method; pass an object that has one, or decorate "
                "its function with @pipeline.stage"
            )
        make = _make or (pipeline or Pipeline()).maker(name, event_id)
        self._self_record = stage_of(process) or make_record(process, make)
        self._self_seen: tuple[Any, Any] = (None, None)
        self._observe(process)

    def _observe(self, process: Any) -> None:
        """Put an observed ``process`` in this proxy's class."""
        function = getattr(process, "__func__", None)
        own = getattr(process, "__self__", None) is self.__wrapped__
        if (
            stage_of(process) is None
            and own
            and isinstance(function, types.FunctionType)
        ):
            observed: Any = compile_wrapper(
                self._self_record,
                function,
                skip=1,
                kind=kind_of(function),
                twin=_reference(self.__wrapped__),
            )
        else:
            observed = property(_look_up)
        type(self).process = observed

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "__wrapped__":
            super().__setattr__(name, value)
            self._observe(getattr(value, "process", None))
            return
        if name != "process":
            super().__setattr__(name, value)
            return
        self.__wrapped__.process = value
        self._observe(value)

    def __delattr__(self, name: str) -> None:
        if name != "process":
            super().__delattr__(name)
            return
        del self.__wrapped__.process
        self._observe(getattr(self.__wrapped__, "process", None))

    def _again(self, wrapped: Any) -> Any:
        return ObservedStage(wrapped, _make=lambda *_: self._self_record)


def _look_up(self: Any) -> Any:
    """The observed twin of a ``process`` that is no method of its object's class."""
    process = self.__wrapped__.process
    seen, observed = self._self_seen
    if _is_same(seen, process):
        return observed
    record = self._self_record
    observed = process
    if callable(process) and stage_of(process) is None:
        if isinstance(process, types.FunctionType) and not is_published(process):
            observed = observed_twin(process, record)
        else:
            observed = proxy(process, record)
    self._self_seen = (process, observed)
    return observed


def _is_same(one: Any, other: Any) -> bool:
    """Whether both are one callable; a bound method is made anew for each look."""
    if isinstance(one, types.MethodType) and isinstance(other, types.MethodType):
        return one.__self__ is other.__self__ and one.__func__ is other.__func__
    return one is other


def restore(wrapped: Any, pipeline: str, name: str) -> Any:
    """Observe an unpickled stage again; unpickling never fails for our sake.

    Args:
        wrapped: The stage itself.
        pipeline: Name of its pipeline.
        name: Its name.
    """
    try:
        return Pipeline(pipeline).stage(wrapped, name=name)
    except ConfigurationError as error:
        _guard.warn_once(
            f"restore {pipeline} {name}",
            "stagelight: the unpickled stage %r is not observed: %s",
            name,
            error,
        )
        return wrapped
