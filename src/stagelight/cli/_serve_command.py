"""``stagelight serve``: the page of a whole service, from Prometheus."""

from __future__ import annotations

import contextlib
import threading

import click

from stagelight.server._address import LOOPBACK, PORT


class _Refused(click.ClickException):
    """It cannot be served."""

    exit_code = 2


@click.command()
@click.option(
    "--prometheus", metavar="URL", required=True, help="The Prometheus that scrapes it."
)
@click.option("--service", help="Name of the service; needed where there are several.")
@click.option(
    "--listen", metavar="ADDRESS", default=f"{LOOPBACK}:{PORT}", show_default=True
)
@click.option("--token", help="What others have to show; by default $STAGELIGHT_TOKEN.")
def serve(prometheus: str, service: str | None, listen: str, token: str | None) -> None:
    """Serve the live page of all processes of a service together, until Ctrl-C."""
    from stagelight._errors import StagelightError
    from stagelight.fleet import Fleet, Watched
    from stagelight.server import serve_source

    try:
        watched = Watched(Fleet(prometheus, service))
        server = serve_source(watched, listen, token)
    except StagelightError as error:
        raise _Refused(str(error)) from None
    click.echo(f"stagelight  watch it at {server.url}", err=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    server.close()
    watched.close()
