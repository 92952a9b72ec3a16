"""``stagelight tap``: samples of the events at a stage."""

from __future__ import annotations

import contextlib
import sys
from urllib.parse import quote, urlencode

import click

from stagelight.cli._address import DEFAULT, Source


@click.command()
@click.option("--limit", default=10, show_default=True, help="Events in an interval.")
@click.option(
    "--interval", default=1.0, show_default=True, help="Seconds between two samples."
)
@click.option("--pipeline", default="*", help="Name of the pipeline; * ? [] are globs.")
@click.option(
    "--token", help="What the server wants to see; by default $STAGELIGHT_TOKEN."
)
@click.argument("url_or_stage")
@click.argument("stage", required=False)
def tap(  # noqa: PLR0913 - one parameter for each option
    *,
    url_or_stage: str,
    stage: str | None,
    limit: int,
    interval: float,
    pipeline: str,
    token: str | None,
) -> None:
    """Show samples of the events at STAGE of the program at URL, until Ctrl-C.

    Usage: stagelight tap [URL] STAGE. Each line is JSON: what went in and what came
    out, without secrets. The program has to allow it: tap = true in [tool.stagelight],
    STAGELIGHT_TAP=1 or serve(tap=True).
    """
    url = url_or_stage if stage is not None else DEFAULT
    name = stage if stage is not None else url_or_stage
    query = urlencode({"limit": limit, "interval": interval, "pipeline": pipeline})
    path = f"/tap/{quote(name, safe='')}?{query}"
    with (
        contextlib.suppress(BrokenPipeError),
        Source(url, token).open(path, interval + 30) as answer,
    ):
        for line in answer:
            sys.stdout.write(line.decode("utf-8", "replace"))
            sys.stdout.flush()
