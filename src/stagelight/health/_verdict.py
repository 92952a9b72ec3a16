"""From the machines, checks and heartbeats to one verdict for each probe."""

from __future__ import annotations

from time import perf_counter_ns as clock
from typing import TYPE_CHECKING

from stagelight import _names
from stagelight._cells import NANOSECONDS
from stagelight.health._checks import CHECKS
from stagelight.health._heartbeats import HEARTBEATS
from stagelight.health._report import (
    HealthReport,
    Item,
    PipelineHealth,
    StageHealth,
    Status,
    health_of,
    item_of,
    item_of_check,
    item_of_heartbeat,
    verdict,
    worst,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stagelight.health._limits import Limits
    from stagelight.health._machine import Machine, Transition


class Life:
    """Where the process is between its start and its end.

    Attributes:
        held: Whether the program said that it is still starting.
        seen: Whether there is a pipeline.
        draining: Whether it is about to end.
        started: Whether every start-up check has passed once.
        unready: Clock since when an overload keeps it unready, else 0.
    """

    def __init__(self) -> None:
        self.held = False
        self.seen = False
        self.draining = False
        self.started = False
        self.unready = 0

    def note(self, seen: bool) -> None:  # noqa: FBT001 - one fact
        """Take one look into account.

        Args:
            seen: Whether there is a pipeline with anything in it.
        """
        self.seen = self.seen or seen
        if not self.started and self.seen and not self.held:
            waits = [r for r in CHECKS.results() if "startup" in r.probes]
            self.started = all(result.status != "fail" for result in waits)

    @property
    def word(self) -> str:
        """``starting`` or ``stopping``, or "" while it just runs."""
        if self.draining:
            return _names.STOPPING
        return "" if self.started else _names.STARTING

    @property
    def reason(self) -> str:
        """Why it is starting or stopping."""
        if self.draining:
            return "it drains, and takes no new work"
        if self.held:
            return "the program has not said health.started() yet"
        if not self.seen:
            return "there is no pipeline yet"
        return "a start-up check has not passed yet"


def make_report(  # noqa: PLR0913, PLR0917 - all that counts
    life: Life,
    process: Machine,
    pipelines: Mapping[str, Mapping[str | None, Machine]],
    history: tuple[Transition, ...],
    limits: Limits,
    now: float,
) -> HealthReport:
    """The verdict of one look.

    Args:
        life: Start and end of the process.
        process: The process's own machine.
        pipelines: Machines by pipeline and stage, None for the pipeline's own.
        history: Changes of state, the newest first.
        limits: The thresholds.
        now: Wall clock.
    """
    machines = [one for group in pipelines.values() for one in group.values()]
    overloaded = any(one.state == _names.OVERLOADED for one in [process, *machines])
    unready = _unready(life, limits, overloaded=overloaded)
    items = [item_of(process, unready=unready, now=now)]
    items += [item_of(one, unready=unready, now=now) for one in machines]
    items += [item_of_heartbeat(beat, now) for beat in list(HEARTBEATS.values())]
    items += [item_of_check(result) for result in CHECKS.results()]
    items += _life_items(life, now)
    summaries = {name: _summary(group) for name, group in pipelines.items()}
    whole = worst([*map(_as_stage, summaries.values()), health_of(process)])
    state, since, reason = whole.state, whole.since, whole.reason  # type: ignore[union-attr]
    if life.word and state != _names.STALLED:
        state, reason = life.word, life.reason
    beats = [item for item in items if item.kind == "system" and item.live == "fail"]
    if beats:
        state, reason = _names.STALLED, beats[0].output
    return HealthReport(
        time=now,
        state=state,
        since=since,
        reason=reason,
        live=verdict([item.live for item in items]),
        ready=verdict([item.ready for item in items]),
        startup=verdict([item.startup for item in items]),
        pipelines=summaries,
        items=tuple(items),
        history=history,
    )


def _unready(life: Life, limits: Limits, *, overloaded: bool) -> Status:
    """What an overload is for readiness: of others' pushes only, and not for ever."""
    if not overloaded:
        life.unready = 0
        return "pass"
    if limits.ingress == "pull":
        return "warn"
    life.unready = life.unready or clock()
    lasted = (clock() - life.unready) / NANOSECONDS
    return "fail" if lasted <= limits.max_unready else "warn"


def _life_items(life: Life, now: float) -> list[Item]:
    """Start-up and drain as things that the probes look at."""
    word = life.word
    starting: Status = "fail" if word == _names.STARTING else "pass"
    ready: Status = "fail" if word else "pass"
    return [
        Item(
            name="startup",
            kind="system",
            live=None,
            ready=ready,
            startup=starting,
            output=f"{word}: {life.reason}" if word else "",
            value=None,
            unit="",
            time=now,
        )
    ]


def _summary(group: Mapping[str | None, Machine]) -> PipelineHealth:
    stages = {
        name: health_of(machine) for name, machine in group.items() if name is not None
    }
    own = [health_of(machine) for name, machine in group.items() if name is None]
    found = worst([*stages.values(), *own])
    if found is None:
        return PipelineHealth(_names.HEALTHY, 0.0, "all clear", stages)
    reason = found.reason
    for name, stage in stages.items():
        if stage is found and found.state != _names.HEALTHY:
            reason = f"{name}: {reason}"
    return PipelineHealth(found.state, found.since, reason, stages)


def _as_stage(one: PipelineHealth) -> StageHealth:
    return StageHealth(one.state, one.since, one.reason, 0.0, 0.0, flapping=False)
