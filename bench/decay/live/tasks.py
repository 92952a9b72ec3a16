"""An event loop whose clock jumps to the next timer once nobody can run."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bench.decay.live.clock import Clock


class _Selector(selectors.DefaultSelector):
    """Waits in virtual time."""

    clock: Clock

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits for another")
        if timeout > 0:
            self.clock.running += timeout
        return []


class Loop(asyncio.SelectorEventLoop):
    """The loop.

    Args:
        clock: The time.
    """

    def __init__(self, clock: Clock) -> None:
        selector = _Selector()
        selector.clock = clock
        self._virtual = clock
        super().__init__(selector)

    def time(self) -> float:
        """Seconds of virtual time."""
        return self._virtual.running


def run(main: Coroutine[Any, Any, None], clock: Clock) -> None:
    """Run to its end.

    Args:
        main: The program.
        clock: The time.
    """
    loop = Loop(clock)
    asyncio.set_event_loop(loop)
    loop.run_until_complete(main)
