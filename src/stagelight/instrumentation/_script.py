"""Plain functions of the main script: nothing else announces that they are made.

Their definitions get one more decorator, the innermost one. Nothing else changes, and
where no pattern is about them, nothing at all.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import runpy
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard
from stagelight.instrumentation import _matching, _targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._patterns import Pattern

#: The decorator's name; only the compiled main script asks for it.
_NAME: Final = "__stagelight_declared__"


def is_wanted() -> bool:
    """Whether a pattern is about the main program."""
    return bool(_matching.about_main())


def compile_main(source: bytes | str, filename: str) -> Any:
    """The main script's code, its declared functions decorated.

    Args:
        source: The script's text.
        filename: Its name for tracebacks.
    """
    if not is_wanted():
        return compile(source, filename, "exec", dont_inherit=True)
    tree = ast.parse(source, filename)
    if _Decorator().decorate(tree):
        setattr(builtins, _NAME, _declare)
    return compile(tree, filename, "exec", dont_inherit=True)


def decorate_main() -> None:
    """Let declared functions of the main module be decorated as ``runpy`` compiles it.

    For one main module only: that of ``-m``, of a folder, or of a spawned child.
    """
    if not is_wanted():
        return
    names = ("_get_module_details", "_get_code_from_file")
    details, from_file = (getattr(runpy, name) for name in names)

    def get_module_details(*args: Any, **kwargs: Any) -> Any:
        setattr(runpy, names[0], details)
        name, spec, code = details(*args, **kwargs)
        source = spec.loader.get_source(name)
        return name, spec, _again(code, source)

    def get_code_from_file(*args: Any) -> Any:
        setattr(runpy, names[1], from_file)
        found = from_file(*args)
        code = found[0] if isinstance(found, tuple) else found
        code = _again(code, "".join(linecache.getlines(args[-1])))
        return (code, *found[1:]) if isinstance(found, tuple) else code

    setattr(runpy, names[0], get_module_details)
    setattr(runpy, names[1], get_code_from_file)


def _again(code: Any, source: str | None) -> Any:
    """The code of a main module, with its declared functions decorated."""
    return compile_main(source, code.co_filename) if source else code


def uninstall() -> None:
    """Forget the decorator."""
    if hasattr(builtins, _NAME):
        delattr(builtins, _NAME)


def _declare(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        pattern = _matching.find("__main__", function.__qualname__)
        if pattern is not None:
            source = f"__main__:{function.__qualname__}"
            return _targets.observe(function, pattern, source) or function
    except Exception as error:  # noqa: BLE001 - never into the program
        _guard.caught("instrument", error)
    return function


class _Decorator(ast.NodeVisitor):
    """Decorates the functions that patterns mean; methods are found by their class."""

    def __init__(self) -> None:
        self._patterns: list[Pattern] = _matching.about_main()
        self._path: list[str] = []
        self._in_class = False
        self._count = 0

    def decorate(self, tree: ast.Module) -> int:
        """Change a tree in place.

        Args:
            tree: The script's.
        """
        self.visit(tree)
        return self._count

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Go into a class."""
        self._enter(node, [node.name], in_class=True)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Decorate a function, and go into it."""
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """Decorate a coroutine function, and go into it."""
        self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        qualname = ".".join([*self._path, node.name])
        meant = any(pattern.matches(qualname) for pattern in self._patterns)
        if meant and not self._in_class:
            name = ast.Name(_NAME, ast.Load())
            node.decorator_list.append(ast.copy_location(name, node))
            self._count += 1
        self._enter(node, [node.name, "<locals>"], in_class=False)

    def _enter(self, node: ast.AST, names: list[str], *, in_class: bool) -> None:
        path, outer = self._path, self._in_class
        self._path, self._in_class = [*path, *names], in_class
        self.generic_visit(node)
        self._path, self._in_class = path, outer
