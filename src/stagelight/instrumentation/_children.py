"""Spawned children of ``multiprocessing`` are observed as their parent is.

A forked child has everything from its parent. A spawned one (or the fork server's) is
a new Python, which first unpickles what its parent prepared for it: to that we add one
entry, which unpickles by installing us, before the child imports the main program. A
child that cannot find stagelight goes on without it.
"""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight.instrumentation import _hooks
from stagelight.instrumentation._ledger import LEDGER

if TYPE_CHECKING:
    from types import ModuleType

_KEY: Final = "stagelight"
_CODE: Final = """\
try:
    from stagelight.instrumentation import _children
except Exception:
    pass
else:
    _children.boot({settings!r})
"""
_PATCHED: Final[list[tuple[Any, Any]]] = []


class _Boot:
    """Unpickles to None, by running a text that cannot fail."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Run the text where it is unpickled."""
        return exec, (self._text,)


def install() -> None:
    """Prepare children from now on."""
    _hooks.when_imported("multiprocessing.spawn", _patch)
    # joblib's processes are spawned by a copy of that.
    _hooks.when_imported("joblib.externals.loky.backend.spawn", _patch)


def uninstall() -> None:
    """Prepare no child any more."""
    while _PATCHED:
        module, original = _PATCHED.pop()
        module.get_preparation_data = original


def _patch(module: ModuleType) -> None:
    original = module.get_preparation_data

    def get_preparation_data(*args: Any, **kwargs: Any) -> dict[str, Any]:
        data: dict[str, Any] = original(*args, **kwargs)
        try:
            settings = replace(LEDGER.settings, pipeline=LEDGER.pipeline.name)
            data[_KEY] = _Boot(_CODE.format(settings=pickle.dumps(settings)))
        except Exception as error:  # noqa: BLE001 - never into the program
            _guard.caught("child", error)
        return data

    if all(module is not known for known, _ in _PATCHED):
        _PATCHED.append((module, original))
        module.get_preparation_data = get_preparation_data  # type: ignore[attr-defined]


def boot(settings: bytes) -> None:
    """Observe this child as its parent is observed.

    Args:
        settings: The parent's, pickled.
    """
    try:
        from stagelight import _lifecycle, _setup
        from stagelight.instrumentation import _install

        known = pickle.loads(settings)  # noqa: S301 - from our own parent
        _setup.configure_child(
            known.pipeline,
            journeys_per_second=known.journeys_per_second,
            json_logs=known.json_logs,
            event_id=known.event_id,
        )
        _lifecycle.flush_at_os_exit()
        _install.install(known)
    except Exception as error:  # noqa: BLE001 - never into the program
        _guard.caught("child", error)
