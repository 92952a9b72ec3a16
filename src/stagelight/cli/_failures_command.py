"""``stagelight failures``: failed events that were kept, alone and in groups."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any, Final

import click

from stagelight.cli import _store
from stagelight.cli._refused import Refused

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SHOWN: Final = 4_000


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def failures() -> None:
    """Look at failed events that capture has kept."""


def _since(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no time span; it takes 30m, 12h or 7d")
    return time.time() - float(found[1]) * _UNITS[found[2]]


@failures.command("list")
@click.option("--stage", metavar="GLOB", help="Only those of these stages.")
@click.option("--error", metavar="GLOB", help="Only those with this exception.")
@click.option("--group", metavar="GROUP", help="Only those of this group.")
@click.option("--event", metavar="ID", help="Only those of this event.")
@click.option(
    "--since", metavar="SPAN", callback=_since, help="Not older than 30m, 12h or 7d."
)
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="At most."
)
@_store.FOLDER
@_store.JSON
def list_(  # noqa: PLR0913 - one parameter for each option
    *,
    stage: str | None,
    error: str | None,
    group: str | None,
    event: str | None,
    since: float | None,
    limit: int,
    folder: str | None,
    as_json: bool,
) -> None:
    """List failed events, the newest first."""
    with _store.open_store(folder) as reader:
        found = reader.failures(
            stage=stage,
            error_type=error,
            group=group,
            event_id=event,
            since=since,
            limit=limit,
        )
    if as_json:
        _store.write(found)
        return
    rows = [
        [
            *(str(one["id"]), _store.moment(one["time"]), one["stage"]),
            *(one["error_type"], one["event_id"] or "-", one["group"]),
            one["replayed"] or ("" if one["replayable"] else "cannot be replayed"),
        ]
        for one in found
    ]
    header = ["id", "time", "stage", "error", "event", "group", "replayed"]
    _store.columns(rows, header)


@failures.command()
@click.argument("number", metavar="ID", type=int)
@_store.FOLDER
@_store.JSON
def show(*, number: int, folder: str | None, as_json: bool) -> None:
    """Show all that is known of one failed event."""
    from stagelight._errors import StagelightError

    with _store.open_store(folder) as reader:
        try:
            found = reader.failure(number)
            payload = reader.payload(number)
        except StagelightError as error:
            raise Refused(str(error)) from None
    found["payload"] = _readable(payload.codec, payload.data)
    if as_json:
        _store.write(found)
    else:
        _print(found)


def _readable(codec: str, data: bytes) -> Any:
    """An event as it may be shown; a pickle is not loaded for it."""
    if codec in {"json", "repr"}:
        try:
            return json.loads(data)
        except ValueError:
            return data.decode("utf-8", "replace")
    return f"<{len(data):,} bytes, {codec}>"


def _print(found: dict[str, Any]) -> None:
    from stagelight._failures._tracebacks import rendered

    journey, process = found["journey"], found["process"]
    pairs = [
        ("failure", f"{found['id']} of group {found['group']}"),
        ("time", _store.moment(found["time"])),
        ("stage", f"{found['stage']} of pipeline {found['pipeline']}"),
        ("event", found["event_id"]),
        (
            "attempt",
            f"{found['attempt']}, {found['duration']:.6f} s in the stage",
        ),
        ("trace", found["trace_id"] and f"{found['trace_id']} span {found['span_id']}"),
    ]
    pairs += [
        (
            "after",
            f"{one['stage']}: {one['duration']:.6f} s, wait {one['wait']:.6f} s",
        )
        for one in journey["stages"]
    ]
    if journey["queue"]:
        wait = journey["wait"]
        waited = "" if wait is None else f", waited {wait:.6f} s"
        pairs.append(("from", f"{journey['queue']}{waited}"))
    pairs += [(name, value) for name, value in found["attributes"].items()]
    beside = (
        ("object", found["place"].get("instance")),
        ("beside", found["arguments"]),
    )
    pairs += [
        (name, json.dumps(value, ensure_ascii=False)[:_SHOWN])
        for name, value in beside
        if value
    ]
    pairs += [
        ("program", " ".join([process.get("program") or "-"])),
        ("version", process.get("version")),
        ("python", process.get("python")),
        ("kept as", f"{found['codec']}, {found['size']:,} bytes"),
        ("redacted", f"{found['hidden']} values" if found["hidden"] else None),
        ("no replay", found["why"] or None),
    ]
    pairs += [
        ("replayed", f"{_store.moment(one['time'])}: {one['result']}")
        for one in found["replays"]
    ]
    for name, value in pairs:
        if value:
            click.echo(f"{name:<9}  {value}")
    click.echo(f"\n{rendered(found['exception'])}\n")
    text = json.dumps(found["payload"], ensure_ascii=False, indent=2)
    more = len(text) - _SHOWN
    click.echo(text[:_SHOWN] + (f"\n... {more:,} characters more" if more > 0 else ""))


@failures.command()
@_store.FOLDER
@_store.JSON
def groups(*, folder: str | None, as_json: bool) -> None:
    """Group failed events by stage, exception and frame, the largest first."""
    with _store.open_store(folder) as reader:
        document = reader.groups_document()
    if as_json:
        _store.write(document)
        return
    for one in document["groups"]:
        frame = one["frame"]
        line = f":{frame['line']}" if frame["line"] else ""
        click.echo(
            f"{one['id']}  {one['count']:,} x {one['error_type']} in {one['stage']}, "
            f"{Path(frame['file']).name}{line} {frame['function']}"
        )
        seen = f"{_store.moment(one['first'])} to {_store.moment(one['last'])}"
        click.echo(f"  seen     {seen}, {one['kept']:,} kept")
        example = one["example"]
        if example:
            event = f" {example['event_id']}" if example["event_id"] else ""
            click.echo(f"  example  {example['id']}{event}: {example['message'][:200]}")
            if example["trace_id"]:
                click.echo(f"  trace    {example['trace_id']}")
        for hint in one["hints"]:
            click.echo(f"  hint     {hint['text']}")
        for result, number in one["replays"].items():
            click.echo(f"  replayed {number:,} x {result}")
    for reason, number in document["dropped"].items():
        click.echo(f"not kept: {number:,} ({reason})")


@failures.command()
@click.argument("group")
@click.option(
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The test file to write, such as tests/test_decoding.py.",
)
@click.option("--stage", metavar="MODULE:NAME", help="The stage, as for replay.")
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="At most."
)
@click.option("--allow-pickle", is_flag=True, help="Let the test load pickles.")
@_store.FOLDER
def export(  # noqa: PLR0913 - one parameter for each option
    *,
    group: str,
    output: Path,
    stage: str | None,
    limit: int,
    allow_pickle: bool,
    folder: str | None,
) -> None:
    """Write a GROUP as a pytest file with its events.

    It needs no stagelight, fails while the bug is there and passes once it is fixed.
    """
    from stagelight._errors import StagelightError
    from stagelight._failures._export import as_test

    with _store.open_store(folder) as reader:
        try:
            text, number = as_test(
                reader,
                group,
                output.absolute(),
                stage=stage,
                limit=limit,
                allow_pickle=allow_pickle,
            )
        except StagelightError as error:
            raise Refused(str(error)) from None
    output.write_text(text, encoding="utf-8")
    click.echo(f"{output}: {number} events")
