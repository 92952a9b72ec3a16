"""Tracebacks as plain data: taken at once, since frames keep what they hold alive."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stagelight import _names, _outcomes
from stagelight._failures._texts import TEXTS
from stagelight._failures._traces import (
    Frame,
    Trace,
    both_ends,
    frames_as_data,
    is_ours,
    is_own,
    is_remote,
    trace_in,
)
from stagelight._redaction import HIDDEN, Redactor

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from stagelight._failures._encoding import Keys

_CHAIN: Final = 4
_LOCALS: Final = 24
_MESSAGE: Final = 1_000
_quote: Final = json.JSONEncoder().encode  # of texts: it is C at once
_CAUSE: Final = "direct cause"
_CONTEXT: Final = "context"


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
        return TEXTS.text(self.message, _MESSAGE)

    def data(self) -> dict[str, Any]:
        """It as data for JSON, with the lines of the source."""
        return {
            "relation": self.relation,
            "type": self.name,
            "message": self.shown(),
            "frames": frames_as_data(self.frames or self.trace.frames),
        }

    def text(self, shown: str) -> str:
        """It as JSON.

        Args:
            shown: Its text without secrets.
        """
        frames = self.trace.text()
        if self.frames is not None:
            frames = json.dumps(frames_as_data(self.frames))
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
        trace = trace or trace_in(one)
        found.append(Link(relation, _names.encodable(name), text, trace, frames))
        trace = None
        if is_remote(one.__cause__):
            break
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
        if not is_ours(code.co_filename):
            own = is_own(code.co_filename)
            variables = _variables(frame, keys) if own else None
            found.append((code.co_filename, line, code.co_name, variables))
        trace = trace.tb_next
    return both_ends(found)


def _variables(frame: FrameType, keys: Keys) -> dict[str, Any]:
    shown = {}
    texts = Redactor(TEXTS.patterns, keys.secret)
    for name, value in list(frame.f_locals.items())[:_LOCALS]:
        try:
            shown[name] = HIDDEN if keys.secret(name) else texts.value(value, 1)
        except Exception as error:  # noqa: BLE001, PERF203 - an object of the user's
            shown[name] = f"<{type(value).__name__}: {type(error).__name__}>"
    return shown


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
