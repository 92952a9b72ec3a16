"""Tracebacks as plain data: taken at once, since frames keep what they hold alive."""

from __future__ import annotations

import hashlib
import linecache
import os
import sysconfig
from typing import TYPE_CHECKING, Any, Final

from stagelight import _names, _outcomes
from stagelight._redaction import HIDDEN, Redactor

if TYPE_CHECKING:
    from types import CodeType, FrameType, TracebackType

    from stagelight._failures._encoding import Keys

_FRAMES: Final = 64
_CHAIN: Final = 4
_LOCALS: Final = 24
_CAUSE: Final = "direct cause"
_CONTEXT: Final = "context"
_LIBRARIES: Final = tuple(
    os.path.join(path, "")  # noqa: PTH118 - prefixes of texts
    for path in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    if path
)
#: Where our own files are.
OURS: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")  # noqa: PTH118, PTH120
_TEXTS: Final = Redactor()

#: A frame: file, line, function, and its variables or None.
Frame = tuple[str, int, str, "dict[str, Any] | None"]


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


def where(trace: TracebackType | None) -> CodeType | None:
    """The code that an exception is charged to: the program's innermost.

    Args:
        trace: The exception's traceback.
    """
    own = last = None
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename != _outcomes.CODE_FILE:
            last = code
            if is_own(code.co_filename):
                own = code
        trace = trace.tb_next
    return own or last


def group_of(pipeline: str, stage: str, error_type: str, code: CodeType | None) -> str:
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


def taken(
    error: BaseException, keys: Keys | None = None
) -> list[tuple[str, str, str, list[Frame]]]:
    """An exception and what caused it, the last one first.

    Args:
        error: The exception.
        keys: Which variables are secret; None to take no variables at all.

    Returns:
        For each its relation to the one before, class, message and frames.
    """
    found = []
    relation, one = "", error
    for _ in range(_CHAIN):
        kind = type(one)
        plain = kind.__module__ in {"builtins", None}
        name = kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"
        text = _TEXTS.text(_outcomes.message(one), 1000)
        frames = _frames(one.__traceback__, keys)
        found.append((relation, _names.encodable(name), text, frames))
        if one.__cause__ is not None:
            relation, one = _CAUSE, one.__cause__
        elif one.__context__ is not None and not one.__suppress_context__:
            relation, one = _CONTEXT, one.__context__
        else:
            break
    return found


def _frames(trace: TracebackType | None, keys: Keys | None) -> list[Frame]:
    found: list[Frame] = []
    while trace is not None:
        frame, line = trace.tb_frame, trace.tb_lineno
        code = frame.f_code
        if code.co_filename != _outcomes.CODE_FILE:
            variables = None
            if keys is not None and is_own(code.co_filename):
                variables = _variables(frame, keys)
            found.append((code.co_filename, line, code.co_name, variables))
        trace = trace.tb_next
    if len(found) > _FRAMES:  # a recursion: both ends tell most
        half = _FRAMES // 2
        found = [*found[:half], *found[-half:]]
    return found


def _variables(frame: FrameType, keys: Keys) -> dict[str, Any]:
    shown = {}
    texts = Redactor(secret=keys.secret)
    for name, value in list(frame.f_locals.items())[:_LOCALS]:
        try:
            shown[name] = HIDDEN if keys.secret(name) else texts.value(value, 1)
        except Exception as error:  # noqa: BLE001, PERF203 - an object of the user's
            shown[name] = f"<{type(value).__name__}: {type(error).__name__}>"
    return shown


def as_data(chain: list[tuple[str, str, str, list[Frame]]]) -> list[dict[str, Any]]:
    """What ``taken`` took as data for JSON, with the lines of the source.

    Args:
        chain: What it took.
    """
    return [
        {
            "relation": relation,
            "type": name,
            "message": text,
            "frames": [
                {
                    "file": _names.encodable(file),
                    "line": line,
                    "function": function,
                    "source": _TEXTS.text(linecache.getline(file, line).strip()),
                    **({} if variables is None else {"locals": variables}),
                }
                for file, line, function, variables in frames
            ],
        }
        for relation, name, text, frames in chain
    ]


def rendered(chain: list[dict[str, Any]]) -> str:
    """A traceback as Python would print it, the last exception last.

    Args:
        chain: As ``as_data`` gives it.
    """
    lines: list[str] = []
    for one in reversed(chain):
        lines.append("Traceback (most recent call last):")
        for frame in one["frames"]:
            place = f'File "{frame["file"]}", line {frame["line"]}'
            lines.append(f"  {place}, in {frame['function']}")
            if frame["source"]:
                lines.append(f"    {frame['source']}")
            for name, value in frame.get("locals", {}).items():
                lines.append(f"      {name} = {value!r}")
        text = f": {one['message']}" if one["message"] else ""
        lines.append(f"{one['type']}{text}")
        if one["relation"] == _CAUSE:
            lines += ["", "which was the direct cause of:", ""]
        elif one["relation"]:
            lines += ["", "while it was handled, another one was raised:", ""]
    return "\n".join(lines)
