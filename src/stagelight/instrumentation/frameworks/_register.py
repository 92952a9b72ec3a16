"""Waits for frameworks to be imported, and observes each by its own file."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stagelight import _guard
from stagelight.instrumentation import _hooks
from stagelight.instrumentation.frameworks import _steps
from stagelight.instrumentation.frameworks._catalog import ASIDE, FRAMEWORKS, Framework

if TYPE_CHECKING:
    from types import ModuleType

    from stagelight.instrumentation.frameworks._patches import Patches

OBSERVED: Final = "observed"
ASIDE_STATE: Final = "left alone"
FAILED: Final = "not observed"


class Status(NamedTuple):
    """What became of one framework that the program imported.

    Attributes:
        name: The framework.
        state: ``observed``, ``left alone`` or ``not observed``.
        detail: Its version, or why not.
    """

    name: str
    state: str
    detail: str


#: What needs nobody who knows all of how versions are written.
_RELEASE: Final = re.compile(r"\d+(\.\d+)*")
_BOUND: Final = re.compile(r"(>=|<)(\d+(?:\.\d+)*)")
#: Framework -> what became of it; only those that the program imported.
STATUS: Final[dict[str, Status]] = {}
_PATCHES: Final[dict[str, Patches]] = {}


def install() -> None:
    """Observe every known framework from its import on."""
    for framework in FRAMEWORKS:
        for name in framework.waits_for:
            waiting = _Waiting(framework, name)
            _hooks.when_imported(name, waiting)
            waiting.early = False
    for name, reason in ASIDE.items():
        _hooks.when_imported(name, _Aside(name, reason))


def uninstall() -> None:
    """Give every framework its own functions back."""
    while _PATCHES:
        _PATCHES.popitem()[1].undo()
    STATUS.clear()
    _steps.forget()


class _Aside:
    def __init__(self, name: str, reason: str) -> None:
        self._name, self._reason = name, reason

    def __call__(self, _module: ModuleType) -> None:
        """Note that the program uses a framework that needs nothing of us."""
        STATUS[self._name] = Status(self._name, ASIDE_STATE, self._reason)


class _Waiting:
    def __init__(self, framework: Framework, module: str) -> None:
        self._framework, self._module = framework, module
        #: Whether the module was there before us, whole or not.
        self.early = True

    def __call__(self, module: ModuleType) -> None:
        """Observe the framework, as far as this module is it."""
        framework = self._framework
        known = STATUS.get(framework.name)
        if known is not None and known.state != OBSERVED:
            return
        try:
            # Asked once: to read the version takes milliseconds.
            found = known or _judge(framework)
            if found.state == OBSERVED:
                found = _instrument(framework, self._module, module, found)
        except Exception as error:  # noqa: BLE001 - never into an import
            half = self.early and _is_half(module)
            found = Status(framework.name, FAILED, _reason(module, error, half=half))
            patches = _PATCHES.pop(framework.name, None)
            if patches is not None:
                patches.undo()
            STATUS[framework.name] = found
            _guard.caught("framework", error)
        STATUS[framework.name] = found


def _judge(framework: Framework) -> Status:
    """Whether this version of a framework can be observed."""
    version = _version(framework)
    if version is None:
        return Status(framework.name, FAILED, "its version is unknown")
    if not is_within(version, framework.versions):
        reason = f"version {version} is not {framework.versions}"
        _guard.warn_once(
            f"framework {framework.name}",
            "stagelight: %s stays unobserved: its %s",
            framework.name,
            reason,
        )
        return Status(framework.name, FAILED, reason)
    return Status(framework.name, OBSERVED, version)


def _instrument(
    framework: Framework, name: str, module: ModuleType, status: Status
) -> Status:
    own: Any = import_module(
        f"stagelight.instrumentation.frameworks.{framework.module}"
    )
    aside = getattr(own, "stands_aside", None)
    other = aside(module) if aside is not None else None
    if other:
        return Status(framework.name, ASIDE_STATE, other)
    from stagelight.instrumentation.frameworks._patches import Patches  # loads wrapt

    patches = _PATCHES.setdefault(framework.name, Patches())
    own.HOOKS[name](module, patches)
    return status


def _is_half(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _reason(module: ModuleType, error: Exception, *, half: bool) -> str:
    if half:
        return f"{module.__name__} was only half imported when stagelight came"
    return f"{type(error).__name__}: {error}"


def _version(framework: Framework) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(framework.distribution)
    except metadata.PackageNotFoundError:
        return None


def is_within(version: str, versions: str) -> bool:
    """Whether a version is one of those that are supported.

    Args:
        version: As the package says it.
        versions: Conditions, as ``>=2.13,<3``.
    """
    simple = _RELEASE.fullmatch(version)
    bounds = [_BOUND.fullmatch(one) for one in versions.split(",")]
    if simple is not None and all(bounds):
        now = _numbers(version)
        return all(
            now >= _numbers(one[2]) if one[1] == ">=" else now < _numbers(one[2])
            for one in bounds
            if one is not None
        )
    from packaging.specifiers import SpecifierSet  # which takes longer to load

    return SpecifierSet(versions).contains(version, prereleases=True)


def _numbers(release: str) -> list[int]:
    """The numbers of a release, which compare as the releases do."""
    found = [int(one) for one in release.split(".")]
    while found and not found[-1]:
        found.pop()
    return found
