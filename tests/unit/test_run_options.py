"""The command line of ``stagelight run``, read without click and by it."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagelight.cli import _quick
from stagelight.cli._run_command import run

WORDS = (
    *(*_quick.FLAGS, *_quick.VALUES, "--stage=mod:f", "--listen=off", "--json="),
    *("--help", "-h", "--", "-", "-x", "-mx", "--no-tabl", "--explain=1", "--name=a=b"),
    *("", "prog.py", "a:b", "off", "*", "x y", "pipe", "é", "-1", "/nowhere/x.json"),
)


def by_click(arguments: list[str]) -> object:
    """What click makes of it, None where it refuses, or ends the process."""
    try:
        return run.main(arguments, "stagelight run", standalone_mode=False)
    except (click.ClickException, click.exceptions.Exit):
        return None


@given(st.lists(st.sampled_from(WORDS), max_size=6))
def test_what_is_read_quickly_is_what_click_reads(arguments):
    """Any command line that is not left to click means the same to both."""
    plan = _quick.read(arguments)
    assert plan is None or plan == by_click(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["prog.py"],
        ["-m", "package.tool", "-m", "--listen", "off"],
        ["--no-table", "--explain", "--json-logs", "prog.py", "--help"],
        ["--stage", "a:b", "--stage=c:D.*", "--name", "orders", "prog.py", "--name"],
        ["--listen", "127.0.0.1:0", "--capture", "kept", "prog.py", ""],
    ],
)
def test_plain_command_lines_are_read_quickly(arguments):
    """They are what most runs begin with."""
    plan = _quick.read(arguments)
    assert plan is not None
    assert plan == by_click(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        *([], ["--help"], ["--name"], ["--name", "-m", "prog.py"], ["--", "prog.py"]),
        *(["--stage", "no pattern", "prog.py"], ["--json", "/", "prog.py"]),
        ["--json", "/nowhere/at/all.json", "prog.py"],
    ],
)
def test_click_says_what_is_wrong(arguments):
    """Help and errors are left to it."""
    assert _quick.read(arguments) is None


def test_every_option_is_known():
    """An option of the command is one that is read quickly too."""
    options = {
        name: param.name
        for param in run.params
        if isinstance(param, click.Option)
        for name in param.opts
    }
    assert options == {**_quick.FLAGS, **_quick.VALUES}
