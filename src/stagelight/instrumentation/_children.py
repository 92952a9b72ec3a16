"""Child processes: how many there are, and that spawned ones observe as well.

A forked child goes on with what its parent installed. A spawned one begins as plain
Python; it is told by one more entry in what ``multiprocessing`` sends it first, before
its main module runs.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from stagelight import _failures, _guard
from stagelight._journey import Journey
from stagelight._register import default_name
from stagelight.instrumentation import (
    _hooks,
    _install,
    _matching,
    _origin,
    _script,
)

if TYPE_CHECKING:
    from types import ModuleType

    from stagelight._config import Settings

#: How many children this process has started.
COUNT: Final = [0]
_INSTALLED: Final[list[tuple[Settings, bool]]] = []
#: Text that runs in the child as its message is unpickled, and never fails there.
_BEGIN: Final = """\
try:
    from stagelight.instrumentation import _children
    _children.begin({message!r})
except Exception:
    pass
"""


class _Beginning:
    """Unpickles to nothing, once the child observes."""

    def __init__(self, message: bytes) -> None:
        self._message = message

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return exec, (_BEGIN.format(message=self._message), {})


def install(settings: Settings, *, exporting: bool) -> None:
    """Count children from now on, and let spawned ones observe too.

    Args:
        settings: The user's.
        exporting: Whether they export: else nobody would see what they observe.
    """
    if _INSTALLED:
        return
    _INSTALLED.append((settings, exporting))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_parent=_count, after_in_child=_count_anew)

    def preload(module: ModuleType) -> None:
        _preload(module, exporting=exporting)

    _hooks.when_imported("multiprocessing.spawn", _wrap)
    _hooks.when_imported("multiprocessing.forkserver", preload)
    # joblib's processes are spawned by a copy of that.
    _hooks.when_imported("joblib.externals.loky.backend.spawn", _wrap_worker)


def _preload(module: Any, *, exporting: bool) -> None:
    """Have a fork server import once what each of its children would have to."""
    wanted = ["stagelight._pool._remote"]
    if exporting:
        wanted += [__name__, "stagelight._setup"]
    module._forkserver._preload_modules.extend(wanted)  # noqa: SLF001 - no other way


def _count() -> None:
    COUNT[0] += 1


def _count_anew() -> None:
    COUNT[0] = 0


def _wrap_worker(module: Any) -> None:
    """Wrap what begins processes that are told of each task's context by itself."""
    _wrap(module, carrying=False)


def _wrap(module: Any, *, carrying: bool = True) -> None:
    inner = module.get_preparation_data

    def get_preparation_data(name: str, *args: Any, **kwargs: Any) -> Any:
        data = inner(name, *args, **kwargs)
        try:
            if name != "ignore":  # as a fork server calls itself
                _count()
            told = beginning(carrying=carrying)
            if told is not None:
                data["stagelight"] = told
        except Exception as error:  # noqa: BLE001 - never into the program
            _guard.caught("spawn", error)
        return data

    module.get_preparation_data = get_preparation_data


def beginning(*, carrying: bool = True) -> object | None:
    """What makes a spawned child observe as it unpickles it; None where none is to.

    Args:
        carrying: Whether all that it does belongs to what runs here now.
    """
    for settings, exporting in _INSTALLED:
        if exporting or settings.json_logs or settings.capture:
            message = _message(settings, exporting=exporting, carrying=carrying)
            return _Beginning(message)
    return None


def _message(settings: Settings, *, exporting: bool, carrying: bool) -> bytes:
    import pickle

    from stagelight._carrier import pack

    named = replace(settings, pipeline=settings.pipeline or default_name())
    names = _matching.main_names()[1:]
    service = settings.pipeline or next(iter(names), None)
    context = otel_context.get_current() if carrying else otel_context.Context()
    carrier = pack(Journey(0, None, context))
    return pickle.dumps((named, service, names, _origin.programs(), exporting, carrier))


def begin(message: bytes) -> None:
    """Observe this spawned child as its parent is observed.

    Args:
        message: What the parent sent.
    """
    import pickle

    from opentelemetry import propagate

    try:
        known = pickle.loads(message)  # noqa: S301 - ours
        settings, service, names, folders, exporting, carrier = known
        _matching.name_main(*names)
        for folder in folders:
            _origin.add_program(folder)
        _export(settings, service, exporting=exporting)
        if settings.capture is not None:
            _failures.install(settings.capture, settings.redact)
        _install.install(settings, complaining=False)
        _script.decorate_main()
        install(settings, exporting=exporting)
        if carrier:
            # As a forked one has it; ``begin`` runs in the child's main thread.
            otel_context.attach(propagate.extract(carrier))
    except Exception as error:  # noqa: BLE001 - the child runs all the same
        _guard.caught("spawn", error)


def _export(settings: Settings, service: str | None, *, exporting: bool) -> None:
    from stagelight import _lifecycle, _logs, _setup

    if exporting:
        _setup.configure(
            service_name=service,
            journeys_per_second=settings.journeys_per_second,
            rescues_per_second=settings.rescues_per_second,
            json_logs=settings.json_logs,
            event_id=settings.event_id,
        )
        _lifecycle.flush_before_exit()
    elif settings.json_logs:
        _logs.write_json_lines()
