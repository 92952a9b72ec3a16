from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from stagelight.cli._hanging import Hanging


def printed(
    width, label="bottleneck  ", text="one two three four five six seven eight nine"
):
    """What a console of some width shows."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(
        Hanging(Text(label), Text(text))
    )
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_further_lines_begin_below_the_first_word() -> None:
    """A text that is wrapped stays beside its label."""
    assert printed(44) == [
        "bottleneck  one two three four five six",
        "            seven eight nine",
    ]
    assert printed(80) == ["bottleneck  one two three four five six seven eight nine"]


def test_a_narrow_terminal_has_no_room_for_the_indent() -> None:
    """Where little is left beside the label the text takes the whole width."""
    assert printed(40) == [
        "bottleneck  one two three four five six",
        "seven eight nine",
    ]
