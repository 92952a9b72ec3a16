"""``stagelight stats``: the document of a running program."""

from __future__ import annotations

import json
import sys

import click

from stagelight.cli._address import DEFAULT, Source


@click.command()
@click.option(
    "--token", help="What the server wants to see; by default $STAGELIGHT_TOKEN."
)
@click.argument("url", default=DEFAULT)
def stats(url: str, token: str | None) -> None:
    """Print the numbers of the program at URL as a JSON document.

    URL is http://127.0.0.1:8321 by default.
    """
    json.dump(Source(url, token).document(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
