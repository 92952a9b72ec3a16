"""Text of the pytest files that failures are exported as."""

from __future__ import annotations

from typing import Final

#: What each such file has around its events.
FILE: Final = '''\
"""{count} events that failed in stage {stage} with {error}.

Written by stagelight of group {group}; fails while the bug is there.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import datetime
import decimal
import functools
import importlib.util
import inspect
import pathlib
import pickle
import sys
import uuid
import zlib

import pytest

{module}


def _find(where):
    name, _, path = where.partition(":")
    module = MODULE if name in {names!r} else importlib.import_module(name)
    return functools.reduce(getattr, path.split("."), module)


def _make(where, **fields):
    made = object.__new__(_find(where))
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def _filled(made, fields):
    vars(made).update(fields)
    return made


def _data(text):
    return zlib.decompress(base64.b64decode(text))


def _stage():
{stage_code}


async def _collect(items):
    return [item async for item in items]


async def _wait(result):
    return await result


# fmt: off
EVENTS = {{
{events}
}}
# fmt: on


@pytest.mark.parametrize("name", EVENTS)
def test_{function}(name):
    """The stage takes an event that it once failed for."""
    result = _stage()(EVENTS[name]())
    if inspect.isawaitable(result):
        asyncio.run(_wait(result))
    elif inspect.isasyncgen(result):
        asyncio.run(_collect(result))
    elif inspect.isgenerator(result):
        list(result)
'''
#: How it imports the stage's module where that is a script.
SCRIPT: Final = """\
_PATH = pathlib.Path(__file__).parent / {path!r}
sys.path.insert(0, str(_PATH.parent))
_SPEC = importlib.util.spec_from_file_location({name!r}, _PATH)
MODULE = importlib.util.module_from_spec(_SPEC)
sys.modules[{name!r}] = MODULE
_ARGUMENTS, sys.argv = sys.argv, {arguments!r}
{run}
sys.argv = _ARGUMENTS"""
GUARDED: Final = "_SPEC.loader.exec_module(MODULE)"
#: The same without what the script does at its top level.
UNGUARDED: Final = """\
_TREE = ast.parse(_PATH.read_bytes())
_TREE.body = [
    one
    for one in _TREE.body
    if not isinstance(one, (ast.Expr, ast.For, ast.While, ast.With))
    or "sys.path" in ast.unparse(one)
]
exec(compile(_TREE, _PATH, "exec"), vars(MODULE))"""
#: The same where it is a module of a package.
MODULE: Final = """\
sys.path.insert(0, str(pathlib.Path(__file__).parent / {path!r}))
MODULE = importlib.import_module({name!r})"""
