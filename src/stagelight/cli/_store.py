"""What ``failures`` and ``replay`` share: their store, and how times are written."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stagelight.cli._refused import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._failures._reading import Reader

#: The option of every command that reads a store.
FOLDER: Callable[..., Any] = click.option(
    "--folder",
    metavar="FOLDER",
    help="Where failed events are kept; by default as capture is configured.",
)
JSON: Callable[..., Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print a document."
)


def open_store(folder: str | None) -> Reader:
    """The store that a command is about.

    Args:
        folder: As given; None for the configured one.

    Raises:
        Refused: There is none.
    """
    from stagelight import _config
    from stagelight._errors import StagelightError
    from stagelight._failures._reading import Reader
    from stagelight._failures._texts import TEXTS

    try:
        settings = _config.load()
        TEXTS.use(settings.redact)
        if folder is not None:
            return Reader(Path(folder))
        capture = settings.capture
        if capture is None:
            raise Refused(
                "which store of failed events? name it: --folder FOLDER, "
                "STAGELIGHT_CAPTURE, or capture in [tool.stagelight]"
            )
        return Reader(capture.path)
    except StagelightError as error:
        raise Refused(str(error)) from None


def moment(seconds: float) -> str:
    """A time as it is shown, in local time.

    Args:
        seconds: Since the epoch.
    """
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def write(document: Any) -> None:
    """Print a document.

    Args:
        document: Data for JSON.
    """
    click.echo(json.dumps(document, indent=2))


def columns(rows: list[list[str]], header: list[str]) -> None:
    """Print rows below a header, each column as wide as it must be.

    Args:
        rows: The cells.
        header: Names of the columns.
    """
    table = [header, *rows]
    widths = [max(len(row[n]) for row in table) for n in range(len(header))]
    for row in table:
        cells = zip(row, widths, strict=True)
        click.echo("  ".join(cell.ljust(width) for cell, width in cells).rstrip())
