"""Runs a script or module in this process exactly as plain Python runs it."""

from __future__ import annotations

import builtins
import contextlib
import importlib.util
import os
import runpy
import sys
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from stagelight.cli import _uncaught
from stagelight.cli._modules import is_safe_path
from stagelight.instrumentation import _origin, _script
from stagelight.instrumentation.frameworks import _catalog

if TYPE_CHECKING:
    from stagelight.cli._modules import SetAside
    from stagelight.cli._plan import Plan

#: The module that was ``__main__`` before: its globals must outlive the program.
_BEFORE: Final[list[ModuleType]] = []


def names(plan: Plan) -> tuple[str, ...]:
    """How patterns may call the program, the best name for a pipeline first.

    Args:
        plan: What to run.
    """
    if plan.is_module:
        name = plan.program.removesuffix(".__main__")
        return (name, f"{name}.__main__")
    path = Path(plan.program)
    return (path.absolute().stem,)


def run(plan: Plan, aside: SetAside) -> None:
    """Run a program; returns where it ended normally.

    Args:
        plan: What to run.
        aside: Takes our modules out of its way.
    """
    main = _new_main()
    uncaught = None
    try:
        if plan.is_module:
            _run_module(plan, aside)
        elif _importer(plan.program):
            _run_folder(plan, aside)
        else:
            _run_script(plan, main, aside)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - ends the process, as plain Python
        uncaught = error
    if uncaught is not None:  # outside of ``except``: else it were everyone's context
        _uncaught.end(uncaught)


def _new_main() -> ModuleType:
    main = ModuleType("__main__")
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    main.__dict__["__builtins__"] = builtins
    _BEFORE.append(sys.modules["__main__"])
    sys.modules["__main__"] = main
    return main


def _run_module(plan: Plan, aside: SetAside) -> None:
    folder = os.getcwd()  # noqa: PTH109 - as plain Python spells it
    if not is_safe_path():
        sys.path.insert(0, folder)
    aside.make_room(None if is_safe_path() else folder)
    sys.argv[:] = ["-m", *plan.arguments]
    _count_as_application(plan.program)
    _script.decorate_main()
    runpy._run_module_as_main(plan.program)  # type: ignore[attr-defined]  # noqa: SLF001


def _run_folder(plan: Plan, aside: SetAside) -> None:
    path = _absolute(plan.program)
    sys.path.insert(0, path)
    aside.make_room(path)
    sys.argv[:] = [plan.program, *plan.arguments]
    _script.decorate_main()
    runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]  # noqa: SLF001


def _run_script(plan: Plan, main: ModuleType, aside: SetAside) -> None:
    path = _absolute(plan.program)
    code, loader = _compile(path, plan)
    folder = os.path.dirname(os.path.realpath(plan.program))  # noqa: PTH120
    if not is_safe_path():
        sys.path.insert(0, folder)
    aside.make_room(None if is_safe_path() else folder)
    sys.argv[:] = [plan.program, *plan.arguments]
    main.__loader__ = loader
    main.__file__ = path
    main.__cached__ = None  # type: ignore[attr-defined]
    try:
        exec(code, main.__dict__)  # noqa: S102 - this is what we are for
    finally:
        for name in ("__file__", "__cached__"):
            main.__dict__.pop(name, None)


def _compile(path: str, plan: Plan) -> tuple[Any, Any]:
    """A script's code and loader; plain Python says what is wrong with it."""
    try:
        if path.endswith(".pyc"):
            loader = SourcelessFileLoader("__main__", path)
            return loader.get_code("__main__"), loader
        with open(path, "rb") as file:  # noqa: PTH123 - a pipe as well
            source = file.read()
        return _script.compile_main(source, path), SourceFileLoader("__main__", path)
    except (OSError, ImportError, SyntaxError, ValueError, EOFError):
        _hand_over(plan)


def _hand_over(plan: Plan) -> NoReturn:
    """Become plain Python: nothing of the program has run, and nothing will."""
    import subprocess

    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    command = [sys.executable, *options, plan.program, *plan.arguments]
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":
        sys.exit(subprocess.call(command))  # noqa: S603 - what the user asked for
    os.execv(sys.executable, command)  # noqa: S606 - as above


def _importer(path: str) -> Any:
    """What imports from a folder or zip file, None for any other file."""
    for hook in sys.path_hooks:
        with contextlib.suppress(ImportError):
            return hook(path)
    return None


def _absolute(path: str) -> str:
    # As plain Python: neither normalised nor resolved.
    return path if os.path.isabs(path) else os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH117, PTH118


def _count_as_application(module: str) -> None:
    """Count the package that is run as the application, though it be installed."""
    if _catalog.is_known(module):
        return
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return
    for folder in (spec.submodule_search_locations if spec else None) or ():
        _origin.add_program(folder)
