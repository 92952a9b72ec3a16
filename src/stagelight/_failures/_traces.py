"""Ways through the code: tracebacks without variables, which many failures share."""

from __future__ import annotations

import hashlib
import json
import linecache
import os
import re
import sysconfig
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stagelight import _names, _outcomes
from stagelight._failures._texts import TEXTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, TracebackType

_FRAMES: Final = 64
_LIBRARIES: Final = tuple(
    os.path.join(path, "")  # noqa: PTH118 - prefixes of texts
    for path in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    if path
)
#: Where our own files are.
OURS: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")  # noqa: PTH118, PTH120
_PLACES: Final = re.compile(r'^  File "(.+)", line (\d+), in (.+)$', re.MULTILINE)

#: A frame: file, line, function, and its variables or None.
Frame = tuple[str, int, str, "dict[str, Any] | None"]


class RemoteCode(NamedTuple):
    """What another process told of a code object."""

    co_filename: str
    co_name: str


class Trace:
    """A traceback without variables; failures at the same lines share one.

    Args:
        codes: The code of each frame.
        lines: The line that each of them was in.

    Attributes:
        code: What it is charged to: the program's innermost.
        entry: What was called first in it.
        frames: The frames, outermost first, without our own.
    """

    __slots__ = ("_codes", "_text", "code", "entry", "frames")

    def __init__(
        self, codes: Sequence[CodeType | RemoteCode], lines: Sequence[int]
    ) -> None:
        #: They are known by their identity, and so must not go.
        self._codes = codes
        self._text = ""
        shown = [
            (code, line)
            for code, line in zip(codes, lines, strict=True)
            if not is_ours(code.co_filename)
        ]
        own = [code for code, _ in shown if is_own(code.co_filename)]
        self.code = own[-1] if own else shown[-1][0] if shown else None
        self.entry = shown[0][0] if shown else None
        self.frames: list[Frame] = both_ends(
            [(code.co_filename, line, code.co_name, None) for code, line in shown]
        )

    def text(self) -> str:
        """The frames as JSON."""
        if not self._text:
            self._text = json.dumps(frames_as_data(self.frames))
        return self._text


#: Identities of codes and last instructions to what they are; of them so many.
_TRACES: Final[dict[tuple[int, ...], Trace]] = {}
_MOST_TRACES: Final = 512


def forget() -> None:
    """Make the texts of all anew."""
    _TRACES.clear()


def trace_in(error: BaseException) -> Trace:
    """The traceback of an exception, which may be that of another process.

    Args:
        error: The exception.
    """
    found = trace_of(error.__traceback__)
    if found.frames or not is_remote(error.__cause__):
        return found
    places = _PLACES.findall(str(error.__cause__))
    codes = [RemoteCode(file, function) for file, _, function in places]
    return Trace(codes, [int(line) for _, line, _ in places])


def is_remote(error: BaseException | None) -> bool:
    """Whether an exception only carries the text of another process's traceback.

    Args:
        error: Cause of an exception that came from there.
    """
    return type(error).__name__ in {"_RemoteTraceback", "RemoteTraceback"}


def trace_of(trace: TracebackType | None) -> Trace:
    """A traceback as it is kept.

    Args:
        trace: The exception's.
    """
    key: list[int] = []
    one = trace
    while one is not None:
        key += (id(one.tb_frame.f_code), one.tb_lasti)
        one = one.tb_next
    known = _TRACES.get(tuple(key))
    if known is None:
        codes, lines = [], []
        while trace is not None:
            codes.append(trace.tb_frame.f_code)
            lines.append(trace.tb_lineno)
            trace = trace.tb_next
        known = Trace(codes, lines)
        if len(_TRACES) >= _MOST_TRACES:
            _TRACES.clear()
        _TRACES[tuple(key)] = known
    return known


def is_ours(filename: str) -> bool:
    """Whether a file is stagelight's.

    Args:
        filename: ``co_filename`` of a code object.
    """
    return filename == _outcomes.CODE_FILE or filename.startswith(OURS)


def _is_own(filename: str) -> bool:
    """Whether a file is the program's, rather than a library's or ours."""
    return not (
        filename.startswith((*_LIBRARIES, "<", OURS))
        or "site-packages" in filename
        or "dist-packages" in filename
    )


_OWN: Final[dict[str, bool]] = {}


def is_own(filename: str) -> bool:
    """Whether a file is the program's, rather than a library's or ours.

    Args:
        filename: ``co_filename`` of a code object.
    """
    known = _OWN.get(filename)
    if known is None:
        known = _is_own(filename)
        if len(_OWN) < 4096:  # noqa: PLR2004 - generated names may be many
            _OWN[filename] = known
    return known


def group_of(
    pipeline: str, stage: str, error_type: str, code: CodeType | RemoteCode | None
) -> str:
    """The name of the group that a failure belongs to.

    Args:
        pipeline: Name of the pipeline.
        stage: Name of the stage.
        error_type: Class of the exception.
        code: What it is charged to. Neither its line matters, which moves with every
            version, nor its folder, which another machine may call otherwise.
    """
    place = ("", "")
    if code is not None:
        place = (os.path.basename(code.co_filename), code.co_name)  # noqa: PTH119
    text = "\0".join((pipeline, stage, error_type, *place))
    data = text.encode("utf-8", "backslashreplace")
    return hashlib.blake2b(data, digest_size=4).hexdigest()


def both_ends(frames: list[Frame]) -> list[Frame]:
    """What tells most of a recursion.

    Args:
        frames: All frames.
    """
    if len(frames) <= _FRAMES:
        return frames
    half = _FRAMES // 2
    return [*frames[:half], *frames[-half:]]


def frames_as_data(frames: list[Frame]) -> list[dict[str, Any]]:
    """Frames as data for JSON, with the lines of the source.

    Args:
        frames: The frames.
    """
    return [
        {
            "file": _names.encodable(file),
            "line": line,
            "function": function,
            "source": TEXTS.text(linecache.getline(file, line).strip()),
            **({} if variables is None else {"locals": variables}),
        }
        for file, line, function, variables in frames
    ]
