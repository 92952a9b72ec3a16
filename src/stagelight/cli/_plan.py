"""What a command line asks ``stagelight run`` to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from stagelight._config import Settings


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Attributes:
        program: Path of a script, folder or zip file, or name of a module.
        arguments: The program's own.
        is_module: Whether ``program`` is a module's name.
        settings: How to observe it.
        json: Where the document goes, or None.
        table: Whether the table is printed.
        listen: Where the page is served: an address, ``off``, or None for the default.
        explain: Whether it is said what was observed, and why.
    """

    program: str
    arguments: tuple[str, ...]
    is_module: bool
    settings: Settings
    json: Path | None
    table: bool
    explain: bool = False
    listen: str | None = None
