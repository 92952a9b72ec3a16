"""Names of queues and pools, from the statement that made them."""

from __future__ import annotations

import ast
import linecache
import os
import sys
from itertools import islice
from typing import TYPE_CHECKING, Final

from stagelight import _names
from stagelight.instrumentation._origin import is_application

if TYPE_CHECKING:
    from types import CodeType, FrameType

#: Functions that only return what they made: so many callers are asked for the name.
_FACTORIES: Final = 3
_MAX_LINES: Final = 20_000
_MAX_FILES: Final = 32
_TREES: Final[dict[str, _Source | None]] = {}
_KNOWN: Final[dict[tuple[CodeType, int], tuple[str | None, bool]]] = {}


def name_from(frame: FrameType, kind: str) -> str:
    """Name of what a frame is making just now.

    The target of its assignment, its keyword or key, else ``Queue@file.py:42``.

    Args:
        frame: The frame that called the class.
        kind: Name of the class.
    """
    asked: FrameType | None = frame
    called = kind
    for _ in range(_FACTORIES):
        if asked is None or not is_application(asked.f_code.co_filename):
            break
        name, returned = _look_up(asked, called)
        if name is not None and name.isprintable():
            return name[: _names.MAX_NAME]
        if not returned:
            break
        called, asked = asked.f_code.co_name, asked.f_back
    file = os.path.basename(frame.f_code.co_filename)  # noqa: PTH119 - a text
    return f"{kind}@{file}:{frame.f_lineno}"[-_names.MAX_NAME :]


def _look_up(frame: FrameType, called: str) -> tuple[str | None, bool]:
    """Name in the statement that a frame is at, and whether it returns the object."""
    key = frame.f_code, frame.f_lasti
    known = _KNOWN.get(key)
    if known is None:
        try:
            known = _read(frame, called)
        except Exception:  # noqa: BLE001 - a name is a convenience, whatever went wrong
            known = (None, False)
        if len(_KNOWN) < 1024:  # noqa: PLR2004 - code made at run time
            _KNOWN[key] = known
    return known


class _Source:
    """Syntax tree of one file, with the way up from each node."""

    def __init__(self, text: str) -> None:
        self.tree = ast.parse(text)
        self.above: dict[ast.AST, ast.AST] = {}
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.above[child] = node

    def calls_at(self, line: int, exact: tuple[int, ...] | None) -> list[ast.Call]:
        """Calls on a line, or the one at an exact position."""
        found = []
        for node in self.above:
            if isinstance(node, ast.Call) and node.end_lineno is not None:
                place = (
                    node.lineno,
                    node.end_lineno,
                    node.col_offset,
                    node.end_col_offset or 0,
                )
                if place == exact:
                    return [node]
                if node.lineno <= line <= node.end_lineno:
                    found.append(node)
        return found


def _source(filename: str) -> _Source | None:
    if filename not in _TREES:
        lines = linecache.getlines(filename)
        if len(_TREES) >= _MAX_FILES:
            _TREES.clear()
        fits = 0 < len(lines) <= _MAX_LINES
        _TREES[filename] = _Source("".join(lines)) if fits else None
    return _TREES[filename]


def _read(frame: FrameType, called: str) -> tuple[str | None, bool]:
    source = _source(frame.f_code.co_filename)
    if source is None:
        return None, False
    calls = source.calls_at(frame.f_lineno, _position(frame))
    # Where there are several on the line, one that is spelled as what was called.
    calls.sort(key=lambda call: _target(call.func) != called)
    names = [_name_of(call, source.above) for call in calls]
    return next((name for name in names if name[0] or name[1]), (None, False))


def _position(frame: FrameType) -> tuple[int, ...] | None:
    """Line, end line, column and end column of the call, where Python knows them."""
    if sys.version_info >= (3, 11):
        positions = frame.f_code.co_positions()
        place = next(islice(positions, frame.f_lasti // 2, None), (None,))
        if None not in place:
            return tuple(part or 0 for part in place)
    return None


def _name_of(call: ast.AST, above: dict[ast.AST, ast.AST]) -> tuple[str | None, bool]:
    """Name that a call's value gets, and whether it is returned instead."""
    node = call
    while (parent := above.get(node)) is not None:
        if isinstance(parent, (ast.Return, ast.Lambda)):
            return None, True
        name = _name_in(parent, node) or _name_in_tuple(parent, node, above)
        if name is not None:
            return name, False
        if isinstance(parent, (ast.stmt, ast.Call)):
            return None, False
        node = parent
    return None, False


def _name_in(parent: ast.AST, node: ast.AST) -> str | None:
    """Name that a node's value gets from what is right around it."""
    if isinstance(parent, ast.Assign) and parent.value is node:
        return _target(parent.targets[0])
    if isinstance(parent, (ast.AnnAssign, ast.NamedExpr)) and parent.value is node:
        return _target(parent.target)
    if isinstance(parent, ast.withitem) and parent.optional_vars is not None:
        return _target(parent.optional_vars)
    if isinstance(parent, ast.keyword):
        return parent.arg
    if isinstance(parent, ast.Dict) and node in parent.values:
        return _text(parent.keys[parent.values.index(node)])
    return None


def _name_in_tuple(
    parent: ast.AST, node: ast.AST, above: dict[ast.AST, ast.AST]
) -> str | None:
    """Name of one element in ``a, b = Queue(), Queue()``."""
    statement = above.get(parent)
    if not isinstance(parent, ast.Tuple) or not isinstance(statement, ast.Assign):
        return None
    targets = statement.targets[0]
    if isinstance(targets, ast.Tuple) and len(targets.elts) == len(parent.elts):
        return _target(targets.elts[parent.elts.index(node)])  # type: ignore[arg-type]
    return None


def _target(target: ast.expr) -> str | None:
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Attribute):
        return target.attr
    if isinstance(target, ast.Subscript):
        return _text(target.slice) or _target(target.value)
    return None


def _text(node: ast.expr | None) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        return node.value
    return None
