"""Calls back when a module is there, now or once it is imported."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import wrapt

from stagelight import _guard

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_ACTIVE: Final[dict[str, list[Callable[[ModuleType], None]]]] = {}
_REGISTERED: Final[set[str]] = set()


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
    elif name not in _REGISTERED:
        # wrapt knows no way to take a hook back: ours stays, and asks _ACTIVE.
        _REGISTERED.add(name)
        wrapt.register_post_import_hook(_tell, name)


def _tell(module: ModuleType) -> None:
    _REGISTERED.discard(module.__name__)
    for tell in _ACTIVE.get(module.__name__, []):
        _call(tell, module)


def _call(tell: Callable[[ModuleType], None], module: ModuleType) -> None:
    try:
        tell(module)
    except Exception as error:  # noqa: BLE001 - never into an import
        _guard.caught("instrument", error)


def clear() -> None:
    """Tell nobody any more."""
    _ACTIVE.clear()
