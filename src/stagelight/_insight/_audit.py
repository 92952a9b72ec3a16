"""Numbers that must agree: where they do not, events were lost or went unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stagelight._insights import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stagelight._insight._window import QueueWindow, StageWindow, Window

#: Events that are between two counts while somebody looks.
_ON_THE_WAY: Final = 2
_SHARE: Final = 0.05
#: By Little's law two means agree only over many events and many looks.
_MANY: Final = 100
_APART: Final = 0.5
#: From here on a call takes several events on purpose.
_BATCH: Final = 1.9


def audit(window: Window, sizes: Mapping[str, float]) -> list[Finding]:
    """What does not add up.

    Args:
        window: What happened.
        sizes: Queue to the mean of the sizes that a watcher saw.
    """
    return [
        *_queues(window),
        *_fetched(window),
        *_little(window, sizes),
    ]


def _slack(queue: QueueWindow, window: Window) -> float:
    return _ON_THE_WAY + len(window.later.workers) + queue.sight.enqueued * 1e-3


def _queues(window: Window) -> Iterator[Finding]:
    """What went in is in there or came out."""
    for name, queue in window.queues.items():
        sight = queue.sight
        if sight.size is None:
            continue
        here = sight.dequeued + sight.size
        lost = sight.enqueued - here
        if lost > _ON_THE_WAY and lost > _slack(queue, window):
            yield Finding(
                "queue",
                name,
                float(sight.enqueued),
                float(here),
                f"{sight.enqueued:,} events went into queue {name}, "
                f"{sight.dequeued:,} came out and {sight.size:,} are in it: the rest "
                "left it unseen",
            )


def _fetched(window: Window) -> Iterator[Finding]:
    """What is fetched from a queue reaches the stages behind it."""
    fed: dict[str, list[StageWindow]] = {}
    for stage in window.stages.values():
        for name in stage.sight.inputs:
            fed.setdefault(name, []).append(stage)
    for name, behind in fed.items():
        queue = window.queues.get(name)
        if queue is None or any(len(stage.sight.inputs) > 1 for stage in behind):
            continue
        calls = sum([stage.sight.count + stage.sight.active for stage in behind])
        fetched = queue.sight.dequeued
        lost = fetched - calls
        if lost <= _ON_THE_WAY:
            continue
        if lost > max(_slack(queue, window), fetched * _SHARE) and (
            not calls or fetched / calls < _BATCH
        ):
            names = ", ".join(sorted(stage.sight.name for stage in behind))
            yield Finding(
                "stage",
                names,
                float(fetched),
                float(calls),
                f"{fetched:,} events were fetched from queue {name}, and {names} was "
                f"called {calls:,} times: the rest was handled elsewhere, or lost",
            )


def _little(window: Window, sizes: Mapping[str, float]) -> Iterator[Finding]:
    """Mean size = departures x mean wait, over a window in which the level held."""
    for name, queue in window.queues.items():
        seen = sizes.get(name)
        if seen is None or queue.wait.count < _MANY:
            continue
        told = queue.little
        steady = abs(queue.arrivals - queue.departures) < queue.departures * _SHARE
        if steady and abs(seen - told) > max(seen, told) * _APART + _ON_THE_WAY:
            yield Finding(
                "little",
                name,
                told,
                seen,
                f"queue {name} held {seen:.1f} events on average, and by its flow and "
                f"waits it should be {told:.1f}: some of its waits went unseen",
            )
