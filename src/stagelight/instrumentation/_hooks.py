"""Calls back when a module is there, now or once it is imported.

wrapt has such hooks too; but to load it takes longer than to load all that it would be
needed for at the start of a program, ``asyncio`` among it.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight._aside import step_aside

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_ACTIVE: Final[dict[str, list[Callable[[ModuleType], None]]]] = {}
#: Modules that were not imported yet when somebody began to wait for them.
_AWAITED: Final[set[str]] = set()


def when_imported(name: str, tell: Callable[[ModuleType], None]) -> None:
    """Tell of a module; at once where it is imported already.

    Args:
        name: Its name.
        tell: What to call with it.
    """
    _ACTIVE.setdefault(name, []).append(tell)
    module = sys.modules.get(name)
    if module is not None:
        _call(tell, module)
        return
    _AWAITED.add(name)
    stand()


def stand() -> None:
    """Stand before all finders that are there now."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


class _Finder:
    """Stands before other finders; what they find runs through us."""

    def find_spec(
        self, name: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As the others find it, but that we hear when it has run."""
        if name not in _AWAITED:
            return None
        finders = list(sys.meta_path)
        for finder in finders[finders.index(self) + 1 :]:
            find = getattr(finder, "find_spec", None)
            if find is not None:
                spec: ModuleSpec | None = find(name, path, target)
                if spec is not None:
                    _listen(spec)
                    return spec
        return None


_FINDER: Any = _Finder()


def _listen(spec: ModuleSpec) -> None:
    """Let a module's loader tell us once it has executed it."""
    loader: Any = spec.loader
    inner = getattr(loader, "exec_module", None)
    if inner is None or getattr(inner, "func", None) is _execute:
        return
    try:
        # vars: a class is the loader of all built-in modules, and stays as it is.
        vars(loader)["exec_module"] = partial(_execute, loader, inner)
    except TypeError:
        spec.loader = _Loader(loader)  # type: ignore[assignment]


class _Loader:
    """Stands for a loader that cannot be changed."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> Any:
        """As the loader itself does."""
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute it, and tell; the module knows its own loader only."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        module.__loader__ = self._inner
        _execute(self._inner, self._inner.exec_module, module)


def _execute(
    loader: Any, inner: Callable[[ModuleType], None], module: ModuleType
) -> None:
    if isinstance(getattr(loader, "__dict__", None), dict):
        loader.__dict__.pop("exec_module", None)
    try:
        inner(module)
    except BaseException as error:
        step_aside(error)
        raise
    spec = module.__spec__
    name = module.__name__ if spec is None else spec.name
    # As imported: a module may put another object into its own place.
    _tell(name, sys.modules.get(name, module))


def _tell(name: str, module: ModuleType) -> None:
    _AWAITED.discard(name)
    for tell in list(_ACTIVE.get(name, ())):
        _call(tell, module)


def _call(tell: Callable[[ModuleType], None], module: ModuleType) -> None:
    try:
        tell(module)
    except Exception as error:  # noqa: BLE001 - never into an import
        _guard.caught("instrument", error)


def clear() -> None:
    """Tell nobody any more."""
    _ACTIVE.clear()
    _AWAITED.clear()
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)
