"""Turn an object into an observed one in place, by a subclass made for its class.

An attribute on the object itself would be simpler, but a plain function there is no
method: ``callback = queue.put`` would neither keep the queue alive nor pickle.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any, Final

from stagelight._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Attribute of an observed object that holds what its hooks write to.
STATE: Final = "__stagelight__"
_MADE: Final[weakref.WeakValueDictionary[object, type]] = weakref.WeakValueDictionary()


class _Plain:
    """Has the layout of any class without slots."""


def become_twin(
    target: Any, state: object, methods: Callable[[Any], dict[str, Any]]
) -> None:
    """Give an object the hooked methods of its class.

    Args:
        target: The object.
        state: What the hooks find as the attribute ``STATE`` of the object. Where it
            has a method ``revive``, that turns how the object would pickle into how
            it does.
        methods: Maps a class to hooks by name; each replaces a method of that class.

    Raises:
        ConfigurationError: The object's class does not allow it.
    """
    kind: Any = type(target)
    twin = _MADE.get((kind, methods))
    try:
        if twin is None:
            twin = _MADE[kind, methods] = _make(kind, methods(kind))
        setattr(target, STATE, state)
        target.__class__ = twin
    except (TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{target!r} cannot be observed in place: its class "
            f"{kind.__qualname__} does not allow it ({error}); observe an object "
            "of the standard library's own class"
        ) from error


def _make(kind: Any, methods: dict[str, Any]) -> type:
    for name, method in methods.items():
        hook = method.__func__ if isinstance(method, staticmethod) else method
        functools.update_wrapper(hook, getattr(kind, name))

    def reduce(self: Any, protocol: Any) -> Any:
        """Pickle and copy as an object of the original class."""
        value = kind.__reduce_ex__(self, protocol)
        if not isinstance(value, tuple):
            return value
        function, arguments, *rest = value
        originals = tuple(kind if one is twin else one for one in arguments)
        value = (kind if function is twin else function, originals, *rest)
        revive = getattr(getattr(self, STATE, None), "revive", None)
        return value if revive is None else revive(value)

    names = {
        "__slots__": (),
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__class__": property(lambda _self: kind),
        "__reduce_ex__": reduce,
        **methods,
    }
    bases = (_Plain,) if _listens(kind) else (kind,)
    twin: type = type(kind)(kind.__name__, bases, names)
    twin.__bases__ = (kind,)
    return twin


def _listens(kind: type) -> bool:
    """Whether a class hears of its subclasses; of ours it must not."""
    return any("__init_subclass__" in vars(base) for base in kind.__mro__[:-1])
