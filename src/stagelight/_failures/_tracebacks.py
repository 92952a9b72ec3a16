"""Tracebacks as plain data: taken at once, since frames keep what they hold alive."""

from __future__ import annotations

import hashlib
import json
import linecache
import os
import sysconfig
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stagelight import _names, _outcomes
from stagelight._redaction import HIDDEN, Redactor

if TYPE_CHECKING:
    from types import CodeType, FrameType, TracebackType

    from stagelight._failures._encoding import Keys

_FRAMES: Final = 64
_CHAIN: Final = 4
_LOCALS: Final = 24
_MESSAGE: Final = 1_000
_quote: Final = json.JSONEncoder().encode  # of texts: it is C at once
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


class Trace:
    """A traceback without variables; failures at the same lines share one.

    Args:
        codes: The code of each frame.
        lines: The line that each of them was in.

    Attributes:
        code: What it is charged to: the program's innermost.
        frames: The frames, outermost first.
    """

    __slots__ = ("_codes", "_text", "code", "frames")

    def __init__(self, codes: list[CodeType], lines: list[int]) -> None:
        #: They are known by their identity, and so must not go.
        self._codes = codes
        self._text = ""
        shown = [
            (code, line)
            for code, line in zip(codes, lines, strict=True)
            if code.co_filename != _outcomes.CODE_FILE
        ]
        own = [code for code, _ in shown if is_own(code.co_filename)]
        self.code = own[-1] if own else shown[-1][0] if shown else None
        self.frames: list[Frame] = _both_ends(
            [(code.co_filename, line, code.co_name, None) for code, line in shown]
        )

    def text(self) -> str:
        """The frames as JSON."""
        if not self._text:
            self._text = json.dumps(_frames_as_data(self.frames))
        return self._text


#: Identities of codes and last instructions to what they are; of them so many.
_TRACES: Final[dict[tuple[int, ...], Trace]] = {}
_MOST_TRACES: Final = 512


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


class Link(NamedTuple):
    """One exception of a chain.

    Attributes:
        relation: To the one before.
        name: Its class.
        message: Its text, secrets and all.
        trace: Its traceback.
        frames: Its frames with their variables, where these are kept.
    """

    relation: str
    name: str
    message: str
    trace: Trace
    frames: list[Frame] | None = None

    def shown(self) -> str:
        """Its text without secrets."""
        return _TEXTS.text(self.message, _MESSAGE)

    def data(self) -> dict[str, Any]:
        """It as data for JSON, with the lines of the source."""
        return {
            "relation": self.relation,
            "type": self.name,
            "message": self.shown(),
            "frames": _frames_as_data(self.frames or self.trace.frames),
        }

    def text(self, shown: str) -> str:
        """It as JSON.

        Args:
            shown: Its text without secrets.
        """
        frames = self.trace.text()
        if self.frames is not None:
            frames = json.dumps(_frames_as_data(self.frames))
        return (
            f'{{"relation":"{self.relation}","type":{_quote(self.name)},'
            f'"message":{_quote(shown)},"frames":{frames}}}'
        )


def taken(
    error: BaseException, keys: Keys | None = None, trace: Trace | None = None
) -> list[Link]:
    """An exception and what caused it, the last one first.

    Args:
        error: The exception.
        keys: Which variables are secret; None to take no variables at all.
        trace: Its traceback, where it is known already.
    """
    found = []
    relation, one = "", error
    for _ in range(_CHAIN):
        kind = type(one)
        plain = kind.__module__ in {"builtins", None}
        name = kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"
        # Some more than is shown: a secret must not be cut in two and so missed.
        text = _outcomes.message(one)[: _MESSAGE * 4]
        frames = None if keys is None else _with_variables(one.__traceback__, keys)
        trace = trace or trace_of(one.__traceback__)
        found.append(Link(relation, _names.encodable(name), text, trace, frames))
        trace = None
        if one.__cause__ is not None:
            relation, one = _CAUSE, one.__cause__
        elif one.__context__ is not None and not one.__suppress_context__:
            relation, one = _CONTEXT, one.__context__
        else:
            break
    return found


def _with_variables(trace: TracebackType | None, keys: Keys) -> list[Frame]:
    found: list[Frame] = []
    while trace is not None:
        frame, line = trace.tb_frame, trace.tb_lineno
        code = frame.f_code
        if code.co_filename != _outcomes.CODE_FILE:
            own = is_own(code.co_filename)
            variables = _variables(frame, keys) if own else None
            found.append((code.co_filename, line, code.co_name, variables))
        trace = trace.tb_next
    return _both_ends(found)


def _both_ends(frames: list[Frame]) -> list[Frame]:
    """What tells most of a recursion."""
    if len(frames) <= _FRAMES:
        return frames
    half = _FRAMES // 2
    return [*frames[:half], *frames[-half:]]


def _variables(frame: FrameType, keys: Keys) -> dict[str, Any]:
    shown = {}
    texts = Redactor(secret=keys.secret)
    for name, value in list(frame.f_locals.items())[:_LOCALS]:
        try:
            shown[name] = HIDDEN if keys.secret(name) else texts.value(value, 1)
        except Exception as error:  # noqa: BLE001, PERF203 - an object of the user's
            shown[name] = f"<{type(value).__name__}: {type(error).__name__}>"
    return shown


def _frames_as_data(frames: list[Frame]) -> list[dict[str, Any]]:
    return [
        {
            "file": _names.encodable(file),
            "line": line,
            "function": function,
            "source": _TEXTS.text(linecache.getline(file, line).strip()),
            **({} if variables is None else {"locals": variables}),
        }
        for file, line, function, variables in frames
    ]


def rendered(chain: list[dict[str, Any]]) -> str:
    """A traceback as Python would print it, the last exception last.

    Args:
        chain: Each exception as ``Link.data`` gives it.
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
