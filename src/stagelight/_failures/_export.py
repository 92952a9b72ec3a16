"""A group of failures as a pytest file with its events, which needs no stagelight."""

from __future__ import annotations

import base64
import json
import os
import textwrap
import zlib
from typing import TYPE_CHECKING, Any, Final

from stagelight._capture import JSON, PICKLE
from stagelight._failures._encoding import TYPE
from stagelight._failures._location import find_stage
from stagelight._failures._payloads import REPR, USER
from stagelight._failures._replay import event_of
from stagelight._failures._schema import StoreError
from stagelight._failures._test_file import FILE, GUARDED, MODULE, SCRIPT, UNGUARDED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stagelight._failures._payloads import Payload
    from stagelight._failures._reading import Reader

_LONG: Final = 400
_BASIC: Final = {
    "decimal": "decimal.Decimal({!r})",
    "uuid": "uuid.UUID({!r})",
    "datetime": "datetime.datetime.fromisoformat({!r})",
    "date": "datetime.date.fromisoformat({!r})",
    "time": "datetime.time.fromisoformat({!r})",
    "timedelta": "datetime.timedelta(*{!r})",
    "path": "pathlib.Path({!r})",
    "purepath": "pathlib.PurePath({!r})",
}


def as_test(  # noqa: PLR0913 - keyword only
    reader: Reader,
    group: str,
    output: Path,
    *,
    stage: str | None = None,
    limit: int = 20,
    allow_pickle: bool = False,
) -> tuple[str, int]:
    """The text of a test, and how many events it has.

    Args:
        reader: The store.
        group: Name of the group.
        output: Where the file will be: paths in it are relative to that.
        stage: The stage, as ``module:name``; by default what was kept.
        limit: Events at most.
        allow_pickle: Whether pickles may be in it, which the test would load.

    Raises:
        StoreError: There is no such group, or nothing of it can be replayed.
    """
    listed = reader.failures(group=group, limit=limit)[::-1]
    if not listed:
        raise StoreError(f"no events of group {group!r} are kept")
    found = reader.failure(listed[0]["id"])
    chosen = find_stage(found, stage)  # now, rather than in the test
    module, _, name = chosen.name.partition(":")
    events = []
    several = False
    for one in listed:
        payload = reader.payload(one["id"])
        if payload.codec == REPR:
            continue
        event_of(payload, chosen.modules, allow_pickle=allow_pickle)
        kept = reader.failure(one["id"])["arguments"] if not chosen.alone else None
        if kept is not None and "why" in kept:
            continue
        key = f"{one['id']} {one['event_id'] or ''}".strip()
        source = _source(payload)
        if kept is not None:
            more, named = _expression(kept["more"]), _expression(kept["named"])
            source = f"({source}, {more}, {named})"
            several = True
        events.append(f"    {key!r}: lambda: {source},")
    if not events:
        raise StoreError(
            f"no event of group {group!r} can be replayed: {listed[0]['why']}"
        )
    loaded = chosen.modules[module]
    instance = found["place"].get("instance", {}) if not chosen.alone else {}
    text = FILE.format(
        count=len(events),
        stage=found["stage"],
        error=found["error_type"],
        group=group,
        module=_module(loaded, output, found["process"]),
        names=tuple({module, "__main__", loaded.__name__}),
        stage_code=textwrap.indent(
            _stage_code(name, instance, several=several), "    "
        ),
        events="\n".join(events),
        function=_identifier(f"{found['stage']}_{found['error_type']}"),
    )
    return text, len(events)


def _identifier(text: str) -> str:
    return "".join(one if one.isalnum() else "_" for one in text).lower()


def _module(loaded: Any, output: Path, process: Mapping[str, Any]) -> str:
    """How the test imports the stage's module, from where the test is."""
    file = os.path.abspath(loaded.__file__)  # noqa: PTH100 - as it was imported
    name = loaded.__name__
    if "." in name or getattr(loaded, "__path__", None):
        deep = name.count(".") + 1 + bool(getattr(loaded, "__path__", None))
        root = file
        for _ in range(deep):
            root = os.path.dirname(root)  # noqa: PTH120
        path = os.path.relpath(root, output.parent)
        return MODULE.format(path=path, name=name)
    path = os.path.relpath(file, output.parent)
    stem = os.path.splitext(os.path.basename(file))[0]  # noqa: PTH119, PTH122
    loader = getattr(loaded.__spec__, "loader", None)
    return SCRIPT.format(
        path=path,
        name=stem,
        arguments=[os.path.basename(file), *process.get("arguments", ())[1:]],  # noqa: PTH119
        run=UNGUARDED if getattr(loader, "left_out", ()) else GUARDED,
    )


def _made(kind: str, instance: Mapping[str, Any]) -> str:
    """An expression that makes the object that the stage is a method of.

    Args:
        kind: What its class is called there.
        instance: What is known of the one that failed.
    """
    if "state" in instance:
        return f"_filled(object.__new__({kind}), {_expression(instance['state'])})"
    given = _expression(instance.get("arguments", {}))
    return f"{kind}()" if given == "{}" else f"{kind}(**{given})"


def _stage_code(name: str, instance: Mapping[str, Any], *, several: bool) -> str:
    """How the test gets the stage; ``find_stage`` has found it the same way."""
    if name.endswith("()"):
        lines = [f"found = MODULE.{name}"]
    else:
        owner, _, last = name.rpartition(".")
        lines = [f"found = MODULE.{name}"]
        if owner:
            lines = [
                f"owner = MODULE.{owner}",
                "if isinstance(owner, type):",
                f"    owner = {_made('owner', instance)}",
                f"found = owner.{last}",
            ]
    return "\n".join(
        [
            *lines,
            "if isinstance(found, type):",
            f"    found = {_made('found', instance)}",
            'found = getattr(found, "process", found)',
            "return lambda call: found(call[0], *call[1], **call[2])"
            if several
            else "return found",
        ]
    )


def _source(payload: Payload) -> str:
    """An expression that makes the event anew."""
    if payload.codec == JSON:
        return _expression(json.loads(payload.data))
    blob = _blob(payload.data)
    if payload.codec == PICKLE:
        return f"pickle.loads({blob})"
    return f"_find({payload.codec.removeprefix(USER)!r}).loads({blob})"


def _blob(data: bytes) -> str:
    packed = base64.b64encode(zlib.compress(data, 9)).decode("ascii")
    return f"_data({packed!r})"


def _expression(value: Any) -> str:  # noqa: C901, PLR0911 - one a kind
    if isinstance(value, str) and len(value) > _LONG:
        try:
            return f"{_blob(value.encode())}.decode()"
        except UnicodeEncodeError:
            return repr(value)
    if isinstance(value, float):
        return f"float({str(value)!r})"
    if isinstance(value, list):
        return f"[{', '.join(map(_expression, value))}]"
    if not isinstance(value, dict):
        return repr(value)
    kind = value.get(TYPE)
    if kind is None:
        pairs = (f"{key!r}: {_expression(one)}" for key, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    content = value["v"]
    if kind in _BASIC:
        return _BASIC[kind].format(content)
    if kind in {"bytes", "bytearray"}:
        data = base64.b64decode(content)
        text = _blob(data) if len(data) > _LONG else repr(data)
        return text if kind == "bytes" else f"bytearray({text})"
    if kind in {"tuple", "set", "frozenset"}:
        return f"{kind}({_expression(content)})"
    if kind == "dict":
        pairs = (f"{_expression(key)}: {_expression(one)}" for key, one in content)
        return f"{{{', '.join(pairs)}}}"
    where = value["of"]
    if kind == "enum":
        return f"_find({where!r})[{content!r}]"
    if kind == "namedtuple":
        return f"_find({where!r})._make({_expression(content)})"
    fields = ", ".join(f"{key!r}: {_expression(one)}" for key, one in content.items())
    return f"_make({where!r}, **{{{fields}}})"
