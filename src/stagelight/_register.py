"""Names: which are allowed, which is the default, and which stage has which."""

from __future__ import annotations

import os
import sys

from stagelight import _guard, _names
from stagelight._errors import ConfigurationError
from stagelight._records import Kind, StageRecord
from stagelight._registry import REGISTRY, PipelineRecord
from stagelight._tracer import TRACER


def check_name(name: object, what: str) -> str:
    """The name, if it can be one.

    Args:
        name: A name given by the user.
        what: What it names, for the error.

    Raises:
        ConfigurationError: It is no text, empty, too long, or not printable.
    """
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(
            f"a {what} needs a name, got {name!r}; pass a text of 1 to "
            f"{_names.MAX_NAME} characters"
        )
    if len(name) > _names.MAX_NAME:
        raise ConfigurationError(
            f"the {what} name {name!r} has {len(name)} characters, "
            f"{_names.MAX_NAME} is the limit; pass a shorter name="
        )
    if not name.isprintable():
        raise ConfigurationError(
            f"the {what} name {name!r} has characters that cannot be printed; "
            "metric labels and log lines need plain text"
        )
    return name


def default_name() -> str:
    """Name of the default pipeline: the service's, else the program's."""
    name = os.environ.get("OTEL_SERVICE_NAME", "")
    for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, _, value = pair.partition("=")
        if not name and key.strip() == "service.name":
            name = value.strip()
    if not name:
        main = sys.modules.get("__main__")
        path = getattr(main, "__file__", None) or sys.argv[0]
        folder, base = os.path.split(os.path.abspath(path)) if path else ("", "")  # noqa: PTH100 - pathlib costs 5 ms at import
        name = os.path.splitext(base)[0]  # noqa: PTH122
        if name == "__main__":
            name = os.path.basename(folder)  # noqa: PTH119
    return name[: _names.MAX_NAME] if name.isprintable() and name else "pipeline"


def add_stage(  # noqa: PLR0913
    pipeline: PipelineRecord,
    name: str,
    kind: Kind,
    function: str,
    source: str,
    *,
    unique: bool = False,
) -> StageRecord:
    """The record of a stage, shared by all that wrap the same source.

    Args:
        pipeline: Where it belongs.
        name: Its name.
        kind: How its calls run.
        function: Qualified name of what it runs.
        source: Module and qualified name, by which twins are told from namesakes.
        unique: Whether a namesake gets a number instead of an error.

    Raises:
        ConfigurationError: Another function or class has that name already.
    """
    with REGISTRY.lock:
        wanted, number = name, 1
        while name in pipeline.stages and (unique or pipeline.sources[name] != source):
            if not unique:
                raise ConfigurationError(
                    f"pipeline {pipeline.name!r} has a stage named {name!r} already, "
                    f"made from {pipeline.sources[name]}; {source} needs another one: "
                    "pass name="
                )
            number += 1
            suffix = f"-{number}"
            name = wanted[: _names.MAX_NAME - len(suffix)] + suffix
        record = pipeline.stages.get(name)
        if record is None:
            if len(REGISTRY.stages()) >= _names.MAX_STAGES:
                _guard.warn_once(
                    "stages",
                    "stagelight: more than %d stages; %r and later ones are recorded "
                    "together as %r. Give stages of one kind one name.",
                    _names.MAX_STAGES,
                    name,
                    _names.OTHER,
                )
                name = _names.OTHER
                record = pipeline.stages.get(name)
            if record is None:
                record = StageRecord(pipeline, name, kind, function)
                record.code = function if function == "task" else source
                pipeline.stages[name] = record
                pipeline.sources[name] = source
        TRACER.refresh()
        return record
