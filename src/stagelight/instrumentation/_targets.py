"""Functions and methods that the user declared as stages by patterns."""

from __future__ import annotations

import functools
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

from stagelight import _guard, _names, _outcomes
from stagelight._automatic import mark, plain
from stagelight._cells import NANOSECONDS
from stagelight._patterns import Pattern, is_glob
from stagelight._pipeline import Pipeline
from stagelight._register import add_stage
from stagelight._shapes import SHAPES, Shape
from stagelight._stage import kind_of, observed_twin, stage_of
from stagelight._tracer import TRACER
from stagelight.instrumentation import _classes, _hooks, _matching
from stagelight.instrumentation._ledger import LEDGER, Entry
from stagelight.instrumentation._origin import is_application

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stagelight._records import StageRecord

MAIN: Final = "__main__"
_PATCHED: Final[list[tuple[Any, str, Any]]] = []
_NEVER: Final = frozenset({"stagelight", "opentelemetry", "wrapt"})


def install(patterns: tuple[Pattern, ...]) -> None:
    """Observe what the patterns mean, each as soon as it is there.

    Args:
        patterns: The user's.
    """
    if not patterns:
        return
    _matching.begin(patterns)
    _classes.ON_CLASS.append(_look_at_class)
    for name in {one.module for one in patterns if not is_glob(one.module)}:
        if name not in _matching.main_names():
            _hooks.when_imported(name, _look_at_module)
    if any(is_glob(one.module) for one in patterns):
        for name, module in list(sys.modules.items()):
            if _wanted(name) and _is_own(module):
                _look_at_module(module)
        _Finder.install()


def uninstall() -> None:
    """Give every module and class its own functions back."""
    while _PATCHED:
        owner, name, original = _PATCHED.pop()
        if isinstance(owner, type):
            type.__setattr__(owner, name, original)
        else:
            setattr(owner, name, original)
    _Finder.uninstall()
    _matching.begin(())


def _wanted(module: str) -> bool:
    return module.partition(".")[0] not in _NEVER and any(
        is_glob(one.module) and one.in_module(module) for one in _matching.patterns()
    )


def _is_own(module: object) -> bool:
    """A glob over modules means the application's own only."""
    return is_application(getattr(module, "__file__", None) or "")


class _Finder:
    """Finds no module, and learns the names of those that are about to be imported."""

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> None:  # noqa: ARG003
        """Ask to be told of a module that a glob means."""
        if _wanted(name):
            _hooks.when_imported(name, _look_at_own)

    @classmethod
    def install(cls) -> None:
        """Stand before every other finder."""
        _hooks.stand()  # before it, so that it is asked after us
        if cls not in sys.meta_path:
            sys.meta_path.insert(0, cls)

    @classmethod
    def uninstall(cls) -> None:
        """Stand there no more."""
        if cls in sys.meta_path:
            sys.meta_path.remove(cls)


def _look_at_own(module: ModuleType) -> None:
    if _is_own(module):
        _look_at_module(module)


def _look_at_module(module: ModuleType) -> None:
    """Patch what a module has under the names that patterns mean."""
    early = module.__name__ in _matching.EARLY
    for name, value in list(vars(module).items()):
        if isinstance(value, type):
            if value.__module__ == module.__name__:
                _look_at_class(value)
            continue
        pattern = _matching.find(module.__name__, name)
        own = getattr(value, "__module__", module.__name__) == module.__name__
        if pattern is None or not (own or pattern.is_exact):
            continue
        twin = observe(value, pattern, f"{module.__name__}:{name}")
        if twin is not None:
            _PATCHED.append((module, name, value))
            setattr(module, name, twin)
            if early:
                _guard.warn_once(
                    f"early {pattern}",
                    "stagelight: %s was imported before stagelight came; where "
                    "'from %s import %s' has taken it already, its calls stay "
                    "unobserved. Use stagelight run, or declare a method.",
                    pattern,
                    module.__name__,
                    name,
                )


def _look_at_class(made: type) -> None:
    """Patch the methods of one class that patterns mean."""
    for name, value in list(vars(made).items()):
        if isinstance(value, type):
            if value.__qualname__ == f"{made.__qualname__}.{name}":
                _look_at_class(value)
            continue
        qualname = f"{made.__qualname__}.{name}"
        pattern = _matching.find(made.__module__, qualname)
        if pattern is None or (is_glob(pattern.target) and not _is_method(value)):
            continue
        inner = value.__func__ if isinstance(value, _DESCRIPTORS) else value
        skip = 0 if isinstance(value, staticmethod) else 1
        twin = observe(inner, pattern, f"{made.__module__}:{qualname}", skip)
        if twin is None:
            continue
        try:
            wrapped = type(value)(twin) if isinstance(value, _DESCRIPTORS) else twin
            type.__setattr__(made, name, wrapped)
            _PATCHED.append((made, name, value))
        except TypeError:
            _refuse(pattern, f"{made.__module__}:{qualname}")


_DESCRIPTORS: Final = (classmethod, staticmethod)


def _is_method(value: object) -> bool:
    return isinstance(value, (FunctionType, *_DESCRIPTORS))


def observe(
    function: Any, pattern: Pattern, source: str, skip: int = 0
) -> Callable[..., Any] | None:
    """The observed twin of a declared function, or None where there can be none.

    Args:
        function: The function.
        pattern: What declared it.
        source: Its module and qualified name.
        skip: How many parameters come before the event.
    """
    function = plain(function)
    if stage_of(function) is not None:
        return None  # the program does so itself
    if not isinstance(function, FunctionType):
        if not is_glob(pattern.target):
            _refuse(pattern, source)
        return None
    name = pattern.name or source.partition(":")[2].removesuffix(".process")
    name = name.rpartition("<locals>.")[2][: _names.MAX_NAME]
    home = LEDGER.pipeline if pattern.pipeline is None else Pipeline(pattern.pipeline)
    record = home._record  # noqa: SLF001 - as the emitters do
    stage = add_stage(
        record,
        name,
        kind_of(function),
        function.__qualname__,
        source,
        unique=record.sources.get(name, source) != source,
    )
    _shape(stage, pattern)
    twin: Callable[..., Any] = observed_twin(function, stage, skip)
    mark(twin, function)
    LEDGER.note(Entry("stage", stage.name, f"declared as {pattern}", source))
    return twin


def _shape(stage: StageRecord, pattern: Pattern) -> None:
    """Let a stage be as its pattern declares beside its name."""
    if pattern.event_id is not None:
        path = pattern.event_id.split(".")
        stage.event_id = functools.partial(_outcomes.look_along, path)
    kind = trace.SpanKind[pattern.span_kind.upper()]
    shape = Shape(kind, int(pattern.min_duration * NANOSECONDS))
    if shape != Shape():
        SHAPES[stage.pipeline.name, stage.name] = shape
        if TRACER.on:
            TRACER.refresh(anew=True)


def _refuse(pattern: Pattern, source: str) -> None:
    LEDGER.decline("stage", source, f"declared as {pattern}, but no Python function")
    _guard.warn_once(
        f"target {source}",
        "stagelight: %s (declared as %s) cannot be observed, because it is no Python "
        "function; declare the Python function that calls it.",
        source,
        pattern,
    )


def candidates(patterns: list[Pattern]) -> Iterator[str]:
    """Names that patterns could have meant, for those that matched nothing.

    Args:
        patterns: Those that matched nothing.
    """
    for name, module in list(sys.modules.items()):
        names = [name, *(_matching.main_names() if name == MAIN else ())]
        about = any(one.in_module(known) for one in patterns for known in names)
        if about or (_is_own(module) and name.partition(".")[0] not in _NEVER):
            shown = names[-1]
            for key, value in list(getattr(module, "__dict__", {}).items()):
                if getattr(value, "__module__", None) != name:
                    continue
                if isinstance(value, FunctionType):
                    yield f"{shown}:{key}"
                elif isinstance(value, type):
                    for inner, method in list(vars(value).items()):
                        if _is_method(method) and not inner.startswith("__"):
                            yield f"{shown}:{value.__qualname__}.{inner}"
