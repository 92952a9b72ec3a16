"""Scripts as modules: what they define, without what they do."""

from __future__ import annotations

import ast
from importlib.machinery import SourceFileLoader
from typing import Any, Final

_LOOPS: Final = (ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Assert)


class ScriptLoader(SourceFileLoader):
    """Loads a script that a replay needs a stage of.

    One that asks for ``__name__`` says by itself what is not to run. In any other,
    statements at its top level that only call something, or loop, are left out, unless
    they change where modules are found.

    Attributes:
        left_out: Lines of the statements that were.
    """

    left_out: tuple[int, ...] = ()

    def source_to_code(  # type: ignore[override]
        self, data: Any, path: Any, *, _optimize: int = -1
    ) -> Any:
        """Compile what the script defines."""
        tree = ast.parse(data, path)
        if not _asks_for_name(tree):
            left: list[int] = []
            tree.body = _defining(tree.body, left)
            self.left_out = tuple(left)
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)

    def get_code(self, fullname: str) -> Any:
        """As above: no compiled file is read or written."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _asks_for_name(tree: ast.Module) -> bool:
    return any(
        isinstance(part, ast.Name) and part.id == "__name__"
        for one in tree.body
        if isinstance(one, ast.If)
        for part in ast.walk(one.test)
    )


def _defining(body: list[ast.stmt], left: list[int]) -> list[ast.stmt]:
    """The statements that define something, those in conditions as well."""
    kept: list[ast.stmt] = []
    for one in body:
        if isinstance(one, _LOOPS) or (isinstance(one, ast.Expr) and _acts(one.value)):
            left.append(one.lineno)
            continue
        if isinstance(one, (ast.If, ast.Try)):
            for name in ("body", "orelse", "finalbody"):
                inner = getattr(one, name, None)
                if inner:
                    nothing: list[ast.stmt] = [ast.copy_location(ast.Pass(), one)] * (
                        name == "body"
                    )
                    setattr(one, name, _defining(inner, left) or nothing)
        kept.append(one)
    return kept


def _acts(value: ast.expr) -> bool:
    """Whether an expression does something, other than to say where modules are."""
    if isinstance(value, ast.Constant):
        return False
    return not ast.unparse(value).startswith(("sys.path.", "site.addsitedir"))
