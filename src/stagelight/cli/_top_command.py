"""``stagelight top``: a running program in the terminal."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from stagelight.cli._address import DEFAULT, Source, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HELP: Final = "q quit   s sort by the next column   r reverse   p pause"
_QUIT: Final = "qQ\x03\x04\x1b"


@click.command()
@click.option(
    "--interval", default=1.0, show_default=True, help="Seconds between two looks."
)
@click.option("--sort", default="", help="name, rate, errors, p95, wait, age or busy.")
@click.option("--once", is_flag=True, help="Print it once and end.")
@click.option(
    "--token", help="What the server wants to see; by default $STAGELIGHT_TOKEN."
)
@click.option(
    "--prometheus",
    metavar="URL",
    help="Take all processes of a service from Prometheus.",
)
@click.option("--service", help="With --prometheus: name of the service.")
@click.argument("url", default=DEFAULT)
def top(  # noqa: PLR0913 - one parameter for each option
    *,
    url: str,
    interval: float,
    sort: str,
    once: bool,
    token: str | None,
    prometheus: str | None,
    service: str | None,
) -> None:
    """Show the program at URL live: stages, queues, the bottleneck.

    URL is http://127.0.0.1:8321 by default. With --prometheus all processes of a
    service are shown together. Keys: q quits, s sorts by the next column, r reverses,
    p pauses.
    """
    from stagelight.cli._top_table import SORTS

    if sort and sort not in SORTS:
        raise click.BadParameter(f"it takes {', '.join(SORTS)}", param_hint="--sort")
    if not 0.1 <= interval <= 3600:  # noqa: PLR2004 - a tenth of a second to an hour
        raise click.BadParameter(
            "it takes 0.1 to 3600 seconds", param_hint="--interval"
        )
    if prometheus is None:
        fetch = Source(url, token).document
    else:
        fetch = _from_prometheus(prometheus, service)
    if once or not sys.stdout.isatty():
        _print(fetch(), sort)
        return
    with contextlib.suppress(KeyboardInterrupt):
        _Screen(fetch, interval, sort).run()


def _from_prometheus(url: str, service: str | None) -> Callable[[], dict[str, Any]]:
    from stagelight.fleet import Fleet, FleetError

    fleet = Fleet(url, service)

    def fetch() -> dict[str, Any]:
        try:
            return fleet.document()
        except FleetError as error:
            raise Unreachable(str(error)) from None

    return fetch


def _print(document: dict[str, Any], sort: str) -> None:
    from rich.console import Console

    from stagelight.cli._top_table import screen

    width = None if sys.stdout.isatty() else 200
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    console.print(screen(document, sort))


class _Screen:
    """The terminal while it shows the program."""

    def __init__(
        self, fetch: Callable[[], dict[str, Any]], interval: float, sort: str
    ) -> None:
        from stagelight.cli._top_table import SORTS

        self._fetch, self._interval = fetch, interval
        self._sorts = ["", *SORTS]
        self._sort = self._sorts.index(sort)
        self._reverse = False
        self._paused = False
        self._document: dict[str, Any] | None = None
        self._problem = ""

    def run(self) -> None:
        """Show it until a key ends it."""
        from rich.console import Console
        from rich.live import Live

        console = Console(highlight=False, markup=False, emoji=False)
        self._look()
        if self._document is None:
            raise Unreachable(self._problem)
        with (
            _keys(),
            Live(
                self._draw(console.height),
                console=console,
                screen=True,
                auto_refresh=False,
            ) as live,
        ):
            due = time.monotonic() + self._interval
            while True:
                key = _key(max(due - time.monotonic(), 0.0))
                if key and key in _QUIT:
                    return
                if key:
                    self._press(key)
                elif not self._paused:
                    self._look()
                if not key:
                    due = time.monotonic() + self._interval
                live.update(self._draw(console.height), refresh=True)

    def _look(self) -> None:
        try:
            self._document = self._fetch()
            self._problem = ""
        except Unreachable as error:
            self._problem = str(error)

    def _press(self, key: str) -> None:
        if key in "sS":
            self._sort = (self._sort + 1) % len(self._sorts)
        elif key in "rR":
            self._reverse = not self._reverse
        elif key in "pP ":
            self._paused = not self._paused

    def _draw(self, height: int) -> Any:
        from rich.console import Group
        from rich.text import Text

        from stagelight.cli._top_table import screen

        if self._document is None:
            return Text(self._problem)
        foot = self._problem or ("paused   " if self._paused else "") + _HELP
        style = "red" if self._problem else "bright_black"
        shown = screen(
            self._document,
            self._sorts[self._sort],
            reverse=self._reverse,
            top=max(height - 8, 3),
        )
        return Group(shown, Text(f"\n{foot}", style))


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Take single keys from the terminal, and leave it as it was."""
    try:
        import termios
        import tty

        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (ImportError, OSError, ValueError):
        yield
        return
    except Exception as error:
        if type(error).__name__ != "error":  # termios.error, where stdin is no terminal
            raise
        yield
        return
    try:
        tty.setcbreak(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _key(wait: float) -> str:
    """The key that is pressed within some seconds, or nothing."""
    try:
        ready, _, _ = select.select([sys.stdin], [], [], wait)
        return (
            os.read(sys.stdin.fileno(), 1).decode("utf-8", "replace") if ready else ""
        )
    except (OSError, ValueError):
        time.sleep(wait)
        return ""
