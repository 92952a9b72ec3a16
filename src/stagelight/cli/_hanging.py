"""A labelled text whose further lines begin below its first word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions

#: Columns that a text needs at least: where fewer are left it is not indented.
_LEAST: Final = 30


class Hanging:
    """A label and a text, wrapped as one paragraph with a hanging indent.

    Args:
        label: What the first line begins with, the gap after it included.
        text: What is wrapped.
    """

    def __init__(self, label: Text, text: Text) -> None:
        self._label, self._text = label, text

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[Text]:
        indent = cell_len(self._label.plain)
        if options.max_width - indent < _LEAST:
            yield Text.assemble(self._label, self._text)
            return
        lines = self._text.wrap(console, options.max_width - indent)
        for number, line in enumerate(lines):
            line.rstrip()
            yield Text.assemble(" " * indent if number else self._label, line)
