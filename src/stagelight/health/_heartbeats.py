"""Loops that must go round: each tells so, and is missed when it does not."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final

from stagelight._cells import NANOSECONDS
from stagelight._errors import ConfigurationError
from stagelight._register import check_name
from stagelight._workers import this_worker

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

#: Beats of an event loop within its limit.
_BEATS: Final = 10
#: A loop that is late by this part of its limit is told to be blocked.
_LATE: Final = 0.25


class Heartbeat:
    """One loop's sign of life: call it in each round.

    Attributes:
        name: Its name.
        limit: Seconds without a beat after which it counts as dead.
    """

    __module__ = "stagelight.health"

    def __init__(self, name: str, limit: float, what: str = "loop") -> None:
        self.name, self.limit, self.what = name, limit, what
        self._last = clock()

    def __call__(self) -> None:
        """Tell that it is alive."""
        self._last = clock()

    @property
    def age(self) -> float:
        """Seconds since the last beat."""
        return max(clock() - self._last, 0) / NANOSECONDS

    @property
    def dead(self) -> bool:
        """Whether it has been missed for longer than its limit."""
        return self.age > self.limit

    @property
    def late(self) -> bool:
        """Whether it is overdue, and not dead yet."""
        return self.age > max(self.limit * _LATE, 1.0)

    def close(self) -> None:
        """Expect no more beats: the loop has ended as it should."""
        HEARTBEATS.pop(self.name, None)

    def __enter__(self) -> Heartbeat:  # noqa: PYI034 - typing.Self is newer than 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


HEARTBEATS: Final[dict[str, Heartbeat]] = {}
#: (pipeline, stage) -> clock until which one of its calls may take its time.
LEASES: Final[dict[tuple[str, str], int]] = {}
_LOCK: Final = threading.Lock()


def heartbeat(name: str, limit: float = 60.0) -> Heartbeat:
    """A loop's sign of life, without which liveness fails.

    Call the result in every round; ``close`` it, or use it in a ``with`` block, where
    the loop ends as it should.

    Args:
        name: Name of the loop.
        limit: Seconds without a beat after which it counts as dead: longer than its
            longest round.

    Raises:
        ConfigurationError: An argument cannot be right.
    """
    check_name(name, "heartbeat")
    given: Any = limit
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not given > 0:
        raise ConfigurationError(
            f"heartbeat {name!r}: limit={limit!r}; it takes more than 0 seconds"
        )
    beat = HEARTBEATS[name] = Heartbeat(name, float(limit))
    return beat


def watch_loop(
    loop: asyncio.AbstractEventLoop | None = None,
    *,
    name: str = "event loop",
    limit: float = 60.0,
) -> Heartbeat:
    """Watch an asyncio event loop: one that is blocked shows, and fails after a limit.

    Args:
        loop: The loop; by default the running one.
        name: What to call it.
        limit: Seconds that it may be blocked.

    Raises:
        ConfigurationError: An argument cannot be right.
    """
    import asyncio

    chosen = asyncio.get_running_loop() if loop is None else loop
    beat = heartbeat(name, limit)
    beat.what = "event loop"
    every = min(limit / _BEATS, 1.0)

    def tick() -> None:
        beat()
        if HEARTBEATS.get(name) is beat and not chosen.is_closed():
            chosen.call_later(every, tick)

    chosen.call_soon_threadsafe(tick)
    return beat


@contextmanager
def lease(seconds: float) -> Iterator[None]:
    """Let the stage call around it take its time, up to a bound.

    Until then it does not count as stalled or stuck; afterwards it does.

    Args:
        seconds: The longest that the work inside may take.
    """
    stage = getattr(this_worker().slot, "stage", None)
    key = (stage.pipeline.name, stage.name) if stage is not None else None
    until = clock() + round(seconds * NANOSECONDS)
    if key is not None:
        with _LOCK:
            LEASES[key] = max(LEASES.get(key, 0), until)
    try:
        yield
    finally:
        if key is not None:
            with _LOCK:
                if LEASES.get(key) == until:
                    del LEASES[key]


def leased(pipeline: str, stage: str) -> bool:
    """Whether a call of a stage may still take its time.

    Args:
        pipeline: Name of the pipeline.
        stage: Name of the stage.
    """
    return LEASES.get((pipeline, stage), 0) > clock()


def forget(*_: Any) -> None:
    """Start without any, as a forked child does."""
    HEARTBEATS.clear()
    LEASES.clear()
