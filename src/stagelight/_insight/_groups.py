"""Stages that share their workers: they can only be slow, and be helped, together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stagelight import _names

if TYPE_CHECKING:
    from stagelight._insight._window import Window


@dataclass(slots=True)
class Group:
    """Stages that run in the same threads, or one inside of the other.

    Attributes:
        stages: Their names.
        workers: How many threads or tasks run them.
        used: Share of the workers' time that was neither idle nor blocked.
        observed: Share of it inside of the stages.
        task: Whether the workers are tasks of an event loop.
        inputs: Queues and pools they take from.
        threads: Keys of the threads.
    """

    stages: list[str]
    workers: float = 0.0
    used: float = 0.0
    observed: float = 0.0
    task: bool = False
    inputs: set[str] = field(default_factory=set)
    threads: set[int] = field(default_factory=set)


def form_groups(window: Window) -> list[Group]:  # noqa: C901 - one pass for each tie
    """The groups of one window.

    Args:
        window: What happened.
    """
    chief = {name: name for name in window.stages}

    def find(name: str) -> str:
        while chief[name] != name:
            name = chief[name]
        return name

    for name, stage in window.stages.items():
        for inner in stage.sight.inner:
            if inner in chief:
                chief[find(inner)] = find(name)
    used = _used_by(window)
    for stages in used.values():
        threads = [name for name in stages if not window.stages[name].sight.task]
        for other in threads[1:]:
            chief[find(other)] = find(threads[0])
    groups: dict[str, Group] = {}
    for name in window.stages:
        groups.setdefault(find(name), Group([])).stages.append(name)
    for key, stages in used.items():
        for name in stages:
            groups[find(name)].threads.add(key)
    for group in groups.values():
        _measure(group, window)
    return list(groups.values())


def _used_by(window: Window) -> dict[int, list[str]]:
    """Thread -> stages that it really worked for in the window."""
    enough = window.nanoseconds // 200
    found: dict[int, list[str]] = {}
    for key, worker in window.later.workers.items():
        before = window.earlier.workers.get(key) if window.earlier else None
        old = before.busy if before else {}
        found[key] = [
            name
            for name, busy in worker.busy.items()
            if name in window.stages and busy - old.get(name, 0) > enough
        ]
    return found


def _measure(group: Group, window: Window) -> None:
    stages = [window.stages[name] for name in group.stages]
    idle = blocked = 0.0
    for stage in stages:
        group.inputs |= stage.sight.inputs
        group.task = group.task or stage.sight.task
        idle += stage.seconds[_names.IDLE]
        blocked += stage.seconds[_names.BLOCKED_STATE]
    if group.task:
        nested = {inner for stage in stages for inner in stage.sight.inner}
        outer = [one for one in stages if one.sight.name not in nested] or stages
        working = sum(one.inside if one.sight.task else _busy(one) for one in outer)
        group.workers = working + idle + blocked
    else:
        working = sum(map(_busy, stages))
        # Time outside of the stages holds the worker as well, unless it is gone.
        group.workers = max(working + idle + blocked, float(len(group.threads)))
        for name in group.inputs & window.later.pools.keys():
            # A pool starts threads as it needs them: the others are idle.
            missing = window.later.pools[name] - group.workers
            if missing > 0:
                group.workers += missing
                idle += missing
    if group.workers > 0:
        group.observed = min(working / group.workers, 1.0)
        group.used = min(max(1 - (idle + blocked) / group.workers, 0.0), 1.0)


def _busy(stage: object) -> float:
    return stage.seconds[_names.BUSY]  # type: ignore[attr-defined, no-any-return]
