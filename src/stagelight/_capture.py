"""What of failed events is kept, and where: the settings of ``capture``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from stagelight._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

JSON: Final = "json"
PICKLE: Final = "pickle"
NONE: Final = "none"
_WORDS: Final = (JSON, PICKLE, NONE)
_DAY: Final = 86_400.0


@runtime_checkable
class Codec(Protocol):
    """How events of one's own become bytes, and come back for a replay.

    An instance must be found under a name of its module, or have a class that is
    called without arguments: a replay imports it.
    """

    def dumps(self, event: Any) -> bytes:
        """The event as bytes."""

    def loads(self, data: bytes) -> Any:
        """The event again."""


@dataclass(frozen=True)
class Capture:
    """Which failed events are kept in a folder, how, and how many.

    Attributes:
        folder: Where; made if it is not there, readable by its owner only.
        stages: Globs over names of stages; ``!glob`` leaves some out. Empty for all.
        codec: ``json`` (plain data, dataclasses and plain objects), ``pickle``,
            ``none`` (a description only) or a ``Codec``; or a mapping from globs over
            stages to one of these. What does not fit is kept as a description.
        locals: Whether the local variables of the program's own frames are kept.
        at_entry: Globs over stages whose events are kept as they were when the call
            began, for stages that change their event; each of their calls pays for it.
        attributes: Attributes or key paths of events with few values, such as
            ``source`` or ``meta.tier``, by which failures are compared to successes.
        redact: Takes an event, returns what is kept of it; must not change it.
        redact_keys: Regular expressions of further keys, fields and variables whose
            values are not kept.
        keep_keys: Names that look like secrets and are none, such as ``tokens``.
        max_events: Failed events that are kept at most; the oldest go first.
        max_bytes: Bytes that they may take, likewise.
        max_age: Seconds after which they go.
        max_event_bytes: A larger event is kept as a description.
    """

    __module__ = "stagelight"

    folder: str | os.PathLike[str]
    stages: tuple[str, ...] = ()
    codec: str | Codec | Mapping[str, str | Codec] = JSON
    locals: bool = False
    at_entry: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    redact: Callable[[Any], Any] | None = None
    redact_keys: tuple[str, ...] = ()
    keep_keys: tuple[str, ...] = ()
    max_events: int = 10_000
    max_bytes: int = 256 * 1024 * 1024
    max_age: float = 30 * _DAY
    max_event_bytes: int = 8 * 1024 * 1024
    #: Absolute, since a program may change its folder.
    path: Path = field(init=False, repr=False, compare=False, default=Path())

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ConfigurationError: One of them cannot be right.
        """
        for name in ("stages", "at_entry", "attributes", "redact_keys", "keep_keys"):
            object.__setattr__(self, name, _texts(name, getattr(self, name)))
        for name in ("max_events", "max_bytes", "max_age", "max_event_bytes"):
            _check_number(name, getattr(self, name))
        if not isinstance(self.locals, bool):
            raise _refused("locals", self.locals, "true or false")
        if self.redact is not None and not callable(self.redact):
            raise _refused("redact", self.redact, "a callable")
        for pattern in self.redact_keys:
            _check_pattern(pattern)
        given = self.codec
        for one in given.values() if isinstance(given, Mapping) else (given,):
            if one not in _WORDS and not isinstance(one, Codec):
                raise _refused(
                    "codec", one, "json, pickle, none, or an object with dumps, loads"
                )
        object.__setattr__(self, "path", _folder(self.folder))

    def wants(self, stage: str) -> bool:
        """Whether failed events of a stage are kept.

        Args:
            stage: Its name.
        """
        return _chosen(stage, self.stages)

    def wants_entry(self, stage: str) -> bool:
        """Whether a stage's events are kept as they were when the call began.

        Args:
            stage: Its name.
        """
        return (
            bool(self.at_entry) and self.wants(stage) and _chosen(stage, self.at_entry)
        )

    def codec_of(self, stage: str) -> str | Codec:
        """How the events of a stage are kept.

        Args:
            stage: Its name.
        """
        if not isinstance(self.codec, Mapping):
            return self.codec
        for glob, codec in self.codec.items():
            if fnmatchcase(stage, glob):
                return codec
        return JSON


def _chosen(stage: str, globs: tuple[str, ...]) -> bool:
    wanted = [glob for glob in globs if not glob.startswith("!")]
    unwanted = [glob[1:] for glob in globs if glob.startswith("!")]
    return (not wanted or any(fnmatchcase(stage, glob) for glob in wanted)) and not any(
        fnmatchcase(stage, glob) for glob in unwanted
    )


def _refused(name: str, value: object, accepted: str) -> ConfigurationError:
    return ConfigurationError(f"capture: {name} is {value!r}; it takes {accepted}")


def _texts(name: str, value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(
        isinstance(one, str) and one.strip() for one in texts
    ):
        raise _refused(name, value, "texts")
    return tuple(texts)


def _check_number(name: str, value: object) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not value > 0:  # type: ignore[operator]
        raise _refused(name, value, "a number above 0")


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        accepted = f"regular expressions ({error})"
        raise _refused("redact_keys", pattern, accepted) from None


def _folder(given: object) -> Path:
    if not isinstance(given, (str, os.PathLike)) or not str(given).strip():
        raise _refused("folder", given, "the path of a folder")
    path = Path(os.path.abspath(os.path.expanduser(os.fspath(given))))  # noqa: PTH100, PTH111 - of bytes as well
    if os.path.exists(path) and not os.path.isdir(path):  # noqa: PTH110, PTH112 - never raise
        raise ConfigurationError(f"capture: {str(path)!r} is no folder")
    return path


#: What a configuration file may say; the rest takes objects, and so code.
_IN_FILES: Final = tuple(
    one.name for one in fields(Capture) if one.init and one.name != "redact"
)


def read_capture(value: object, place: str) -> Capture:
    """What a configuration file or variable says.

    Args:
        value: A folder, or a table with the names of ``Capture``'s attributes.
        place: Where it stands, for the error.

    Raises:
        ConfigurationError: It cannot be right.
    """
    if isinstance(value, str):
        value = {"folder": value}
    if not isinstance(value, Mapping) or "folder" not in value:
        raise ConfigurationError(
            f"{place}: {value!r} is not accepted; it takes a folder, or a table with "
            f"a folder and any of {', '.join(_IN_FILES[1:])}"
        )
    for key in value:
        if key not in _IN_FILES:
            raise ConfigurationError(
                f"{place}: unknown key {key!r}; known are {', '.join(_IN_FILES)}"
            )
    try:
        return Capture(**value)
    except (ConfigurationError, TypeError) as error:
        raise ConfigurationError(f"{place}: {error}") from None


def as_capture(given: Capture | str | os.PathLike[str]) -> Capture:
    """What ``configure(capture=...)`` was given.

    Args:
        given: A folder, or the settings.
    """
    return given if isinstance(given, Capture) else Capture(given)
