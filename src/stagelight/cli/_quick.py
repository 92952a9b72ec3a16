"""The command line of ``stagelight run`` where it is plain: without click.

To load click takes a fifth of a start. What is not plain at first sight is left to it:
help, anything that is wrong, and forms that only click takes apart.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from stagelight._errors import ConfigurationError
from stagelight.cli._plan import Plan, make_plan

#: Option -> the parameter that it sets.
FLAGS: Final = {
    "-m": "is_module",
    "--explain": "explain",
    "--no-table": "no_table",
    "--json-logs": "json_logs",
}
VALUES: Final = {
    "--stage": "stages",
    "--name": "name",
    "--json": "document",
    "--capture": "capture",
    "--listen": "listen",
}


def read(arguments: list[str]) -> Plan | None:
    """What a command line asks for, or None where click is to say.

    Args:
        arguments: What follows ``run``.
    """
    given: dict[str, Any] = dict.fromkeys((*FLAGS.values(), *VALUES.values()))
    given.update(dict.fromkeys(FLAGS.values(), False), stages=())
    rest = iter(arguments)
    for word in rest:
        option, equals, value = word.partition("=")
        if word in FLAGS:
            given[FLAGS[word]] = True
        elif option in VALUES:
            value = value if equals else next(rest, "")
            if not value or value.startswith("-"):
                return None
            name = VALUES[option]
            given[name] = (*given[name], value) if name == "stages" else value
        elif not word or word.startswith("-") or sys.platform == "win32":
            return None  # where the last one is, click expands globs
        else:
            return _make(given, word, tuple(rest))
    return None


def _make(
    given: dict[str, Any], program: str, arguments: tuple[str, ...]
) -> Plan | None:
    document = given["document"]
    if document is not None:
        given["document"] = path = Path(document)
        if path.is_dir():
            return None
    try:
        return make_plan(program=program, arguments=arguments, **given)
    except ConfigurationError:
        return None
