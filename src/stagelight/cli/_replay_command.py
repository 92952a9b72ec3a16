"""``stagelight replay``: one failed event, or a group of them, through its stage."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from stagelight.cli import _store
from stagelight.cli._refused import Refused

if TYPE_CHECKING:
    from stagelight._failures._reading import Reader
    from stagelight._failures._replay import Replayed


@click.command()
@click.argument("number", metavar="[ID]", type=int, required=False)
@click.option("--group", metavar="GROUP", help="Replay all events of a group.")
@click.option(
    "--stage",
    metavar="MODULE:NAME",
    help="The stage, where its name alone does not do: module:Class.method, "
    "module:function, or module:make() for a function that makes it.",
)
@click.option("--pdb", is_flag=True, help="Debug the exception, where it is raised.")
@click.option("--trace", is_flag=True, help="Print the original journey and traceback.")
@click.option(
    "--allow-pickle",
    is_flag=True,
    help="Load pickled events, which runs whatever code is in them.",
)
@_store.FOLDER
@_store.JSON
def replay(  # noqa: PLR0913 - one parameter for each option
    *,
    number: int | None,
    group: str | None,
    stage: str | None,
    pdb: bool,
    trace: bool,
    allow_pickle: bool,
    folder: str | None,
    as_json: bool,
) -> int:
    """Run the failed event ID through its stage again, and compare.

    Imports the program that it came from. Exits with 0 if all pass, with 1 if one
    still fails. Each replay is a span that is linked to the original one, exported
    where OTEL_EXPORTER_OTLP_ENDPOINT says.
    """
    if (number is None) == (group is None):
        raise Refused("what is to be replayed? name one ID, or --group GROUP")
    _export()
    with _store.open_store(folder) as reader:
        numbers = [number] if number is not None else _members(reader, group or "")
        made = []
        for one in numbers:
            made.append(_replay(reader, one, stage, allow_pickle=allow_pickle))
            if not as_json:
                if trace:
                    _print_original(reader.failure(one))
                _print(made[-1], whole=group is None)
            error = made[-1].exception
            if pdb and error is not None:
                import pdb as debugger  # noqa: T100 - asked for

                debugger.post_mortem(error.__traceback__)
    _flush()
    failed = any(one.result != "success" for one in made)
    if as_json:
        _store.write([one.document() for one in made])
    elif group is not None:
        counts = Counter(one.result for one in made)
        click.echo(", ".join(f"{n} {result}" for result, n in counts.most_common()))
    return int(failed)


def _export() -> None:
    from stagelight import _environment
    from stagelight._errors import ConfigurationError

    if not _environment.exporting_wanted():
        return
    from stagelight import _failures, _setup

    try:
        _setup.configure(journeys_per_second="all")
    except ConfigurationError as error:
        raise Refused(str(error)) from None
    _failures.uninstall()  # a replay keeps nothing anew


def _flush() -> None:
    from stagelight import _environment, _flushing

    if _environment.exporting_wanted():
        _flushing.shutdown()


def _members(reader: Reader, group: str) -> list[int]:
    found = [one["id"] for one in reader.failures(group=group)][::-1]
    if not found:
        raise Refused(f"no events of group {group!r} are kept; see failures groups")
    return found


def _replay(
    reader: Reader, number: int, stage: str | None, *, allow_pickle: bool
) -> Replayed:
    from stagelight._errors import StagelightError
    from stagelight._failures._handle import replay_one
    from stagelight._failures._location import find_stage

    try:
        return replay_one(
            reader,
            number,
            allow_pickle=allow_pickle,
            stage=lambda found: find_stage(found, stage),
        )
    except StagelightError as error:
        raise Refused(str(error)) from None


def _print_original(found: dict[str, Any]) -> None:
    from stagelight._failures._tracebacks import rendered

    if found["trace_id"]:
        click.echo(f"original trace {found['trace_id']} span {found['span_id']}")
    for one in found["journey"]["stages"]:
        took = f"{one['duration']:.6f} s, waited {one['wait']:.6f} s"
        click.echo(f"  {one['stage']}: {took}")
    if found["journey"]["queue"]:
        wait = found["journey"]["wait"]
        waited = "" if wait is None else f": waited {wait:.6f} s"
        click.echo(f"  {found['journey']['queue']}{waited}")
    click.echo(rendered(found["exception"]))


def _print(made: Replayed, *, whole: bool) -> None:
    event = f" {made.event_id}" if made.event_id else ""
    click.echo(f"{made.id}{event}: {made.result}")
    if made.result == "not replayed":
        click.echo(f"  {made.after}")
    elif whole or made.result == "other failure":
        for line in made.diff or [f" {made.after}"]:
            click.echo(f"  {line}")
    if made.trace_id and whole:
        click.echo(f"  trace {made.trace_id} span {made.span_id}")
