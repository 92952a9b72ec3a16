"""Finds the stage that an event failed in, by the names that were kept."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stagelight import _guard
from stagelight._failures._decoding import Decoder, UnreadableError
from stagelight._failures._schema import StoreError
from stagelight._failures._scripts import ScriptLoader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

_MAIN: Final = "__main__"
#: What ``multiprocessing`` calls it in a spawned child.
_MAINS: Final = (_MAIN, "__mp_main__")


class Stage(NamedTuple):
    """A stage that can be called.

    Attributes:
        call: Takes an event.
        name: How it was found, as ``module:name``.
        modules: What the names of modules in kept events mean.
        alone: Whether it takes the event alone, whatever the stage took.
    """

    call: Callable[..., Any]
    name: str
    modules: dict[str, ModuleType]
    alone: bool = False


def find_stage(found: Mapping[str, Any], given: str | None = None) -> Stage:
    """The stage of a kept failure.

    Args:
        found: All that is known of the failure.
        given: ``module:function``, ``module:Class.method`` or ``module:make()``,
            which returns a stage; by default what was kept.

    Raises:
        StoreError: It cannot be imported or made; the text says what would help.
    """
    place, process = found["place"], found["process"]
    modules: dict[str, ModuleType] = {}
    if given is None:
        module, name = place["module"], place["name"]
        loaded = load(module, process) if module else None
        if loaded is not None and "<" in name:
            name = _assigned(loaded, name)
        if loaded is None or not name:
            shown = f" {place['name']}" if place["name"] else ""
            raise StoreError(
                f"stage {found['stage']} cannot be imported by its name{shown}; "
                "name a function, class or factory by --stage module:name"
            )
    else:
        module, _, name = given.partition(":")
        if not module or not name:
            raise StoreError(f"--stage is {given!r}; it takes module:Class.method")
        loaded = load(module, process)
        if place["module"] in _MAINS and process.get("program"):
            modules.update(dict.fromkeys(_MAINS, load(_MAIN, process)))
    modules.setdefault(module, loaded)
    if module in _MAINS:
        modules.update(dict.fromkeys(_MAINS, loaded))
    # Under its own name, wherever that is now, it is called as it was.
    another = given is not None and name != place["name"]
    instance = None if another else place.get("instance")
    make = Maker(instance or {}, modules)
    call = _resolve(loaded, name, module, make)
    return Stage(call, f"{module}:{name}", modules, alone=another)


def load(module: str, process: Mapping[str, Any]) -> ModuleType:
    """A module of the program.

    Its main script gets another name, so that what is behind
    ``if __name__ == "__main__"`` does not run.

    Args:
        module: Its name, or the path of a file.
        process: What was kept of the process.

    Raises:
        StoreError: It cannot be imported.
    """
    program, folder = process.get("program"), process.get("folder")
    module = _MAIN if module in _MAINS else module
    if module == _MAIN and _is_running(program):
        return sys.modules[_MAIN]
    if module == _MAIN and process.get("module"):
        module = str(process["module"]).removesuffix(".__main__")
        if Path(program or "").name == "__main__.py":
            module += ".__main__"
    elif module == _MAIN:
        module = program or ""
    elif program and not process.get("module"):
        folder = str(Path(program).parent)
    try:
        with _its_arguments(process):
            if module.endswith(".py"):
                return _load_file(Path(module))
            for path in (folder, os.getcwd()):  # noqa: PTH109 - as Python's own sys.path
                if path and path not in sys.path:
                    sys.path.insert(0, path)
            return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise StoreError(
            f"{module or 'the main script'} cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error


@contextlib.contextmanager
def _its_arguments(process: Mapping[str, Any]) -> Iterator[None]:
    """The command line as the program had it: its top level may read it."""
    before = sys.argv
    sys.argv = list(process.get("arguments") or before)
    try:
        yield
    finally:
        sys.argv = before


def _assigned(module: ModuleType, name: str) -> str:
    """The one name in a module of what was made in a function, or of a lambda.

    Args:
        module: The module.
        name: Its qualified name.
    """
    found = {
        key
        for key, value in vars(module).items()
        if getattr(value, "__qualname__", None) == name
    }
    return found.pop() if len(found) == 1 else ""


def _is_running(program: str | None) -> bool:
    """Whether the main script of this very process is the one of the failure."""
    file = getattr(sys.modules.get(_MAIN), "__file__", None)
    return bool(file and program) and os.path.abspath(str(file)) == program  # noqa: PTH100


def _load_file(path: Path) -> ModuleType:
    name = path.stem
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    loader = ScriptLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"there is no Python file {str(path)!r}")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[name]
        raise
    if loader.left_out:
        lines = ", ".join(map(str, loader.left_out))
        _guard.warn_once(
            f"script {path}",
            "%s has no if __name__ == '__main__': a replay leaves out what runs at its "
            "top level (lines %s)",
            path.name,
            lines,
        )
    return loaded


def _resolve(
    module: ModuleType, name: str, shown: str, make: Maker
) -> Callable[[Any], Any]:
    """What a dotted name means, its class made where it needs an object."""
    found: Any = module
    made = name.endswith("()")
    owner: Any = None
    for part in name.removesuffix("()").split("."):
        owner, before = found, found
        found = getattr(before, part, None)
        if found is None:
            raise StoreError(f"there is no {name} in {shown}")
    if made:
        found = found()
    elif isinstance(owner, type) and not hasattr(found, "__self__"):
        static = vars(owner).get(name.rpartition(".")[2])
        if not isinstance(static, staticmethod):
            found = getattr(make(owner, shown), name.rpartition(".")[2])
    if isinstance(found, type):
        found = make(found, shown)
    process = getattr(found, "process", None)
    if callable(process):
        return process  # type: ignore[no-any-return]
    if not callable(found):
        raise StoreError(f"{shown}:{name} is {found!r}, which cannot be called")
    return found  # type: ignore[no-any-return]


class Maker:
    """Makes the object that a stage is a method of.

    Args:
        kept: What is known of the one that failed: ``arguments`` or ``state``.
        modules: What the names of modules in it mean.
    """

    def __init__(
        self, kept: Mapping[str, Any], modules: Mapping[str, ModuleType]
    ) -> None:
        self._kept = kept
        self._modules = modules

    def __call__(self, kind: type, shown: str) -> Any:
        """Make one.

        Args:
            kind: Its class.
            shown: Name of its module.

        Raises:
            StoreError: It cannot be made.
        """
        decode = Decoder(self._modules).decode
        try:
            arguments = decode(self._kept.get("arguments", {}))
            state = decode(self._kept.get("state", {}))
        except UnreadableError:
            arguments, state = {}, {}
        try:
            return kind(**arguments)
        except TypeError as error:
            new: object = kind.__new__
            if state and new is object.__new__:
                made: Any = object.__new__(kind)
                vars(made).update(state)
                return made
            why = self._kept.get("why", error)
            raise StoreError(
                f"{shown}:{kind.__qualname__} cannot be made without arguments ({why});"
                " write a function that makes it, and name that: --stage module:make()"
            ) from error
