"""The verdict: one frozen document that every probe, page and command reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from stagelight import _names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stagelight.health._checks import Result
    from stagelight.health._heartbeats import Heartbeat
    from stagelight.health._machine import Machine, Transition

Status = Literal["pass", "warn", "fail"]
#: What a state is for liveness, and for readiness but where it is overloaded.
_VERDICTS: Final[dict[str, Status]] = {
    _names.HEALTHY: "pass",
    _names.DEGRADED: "warn",
    _names.OVERLOADED: "warn",
    _names.STALLED: "fail",
}


@dataclass(frozen=True, slots=True)
class StageHealth:
    """State of one stage, or of a pipeline's own.

    Attributes:
        state: ``healthy``, ``degraded``, ``overloaded``, ``stalled``; of a process
            ``starting`` and ``stopping`` as well.
        since: Wall clock, seconds since the epoch.
        reason: Why, with value and limit.
        value: What was measured last.
        limit: Where it begins to count.
        flapping: Whether it changed so often that the worse state is held.
    """

    state: str
    since: float
    reason: str
    value: float
    limit: float
    flapping: bool


@dataclass(frozen=True, slots=True)
class PipelineHealth:
    """State of one pipeline: the worst of its stages and its own."""

    state: str
    since: float
    reason: str
    stages: dict[str, StageHealth]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a probe looks at.

    Attributes:
        name: ``stage:PIPELINE/STAGE``, ``pipeline:NAME``, ``heartbeat:NAME``,
            ``process``, or the name of a user's check.
        kind: ``component`` or ``system``, as health+json has it.
        live: Its verdict for liveness, None where it does not count.
        ready: Its verdict for readiness, None where it does not count.
        startup: Its verdict for start-up, None where it does not count.
        output: Why.
        value: What was measured, if anything.
        unit: Its unit.
        time: Wall clock, seconds since the epoch.
    """

    name: str
    kind: str
    live: Status | None
    ready: Status | None
    startup: Status | None
    output: str
    value: float | None
    unit: str
    time: float


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The health of this process.

    Attributes:
        time: Wall clock of the look, seconds since the epoch.
        state: The worst of all.
        since: Since when.
        reason: Why.
        live: Verdict of ``/livez``.
        ready: Verdict of ``/readyz``.
        startup: Verdict of ``/startupz``.
        pipelines: Name to pipeline.
        items: All that the probes look at.
        history: Changes of state, the newest first.
    """

    time: float
    state: str
    since: float
    reason: str
    live: Status
    ready: Status
    startup: Status
    pipelines: dict[str, PipelineHealth]
    items: tuple[Item, ...]
    history: tuple[Transition, ...]


def worst(states: Sequence[StageHealth]) -> StageHealth | None:
    """The worst of several; the one that has been so longest among equals."""
    return max(
        states,
        key=lambda one: (_names.STATES.index(one.state), -one.since),
        default=None,
    )


def health_of(machine: Machine) -> StageHealth:
    """A machine's state as data."""
    sign = machine.sign
    reason = sign.reason
    if machine.flapping and machine.state != _names.HEALTHY:
        reason += "; it changed too often and is held here"
    return StageHealth(
        machine.state, machine.since, reason, sign.value, sign.limit, machine.flapping
    )


def item_of(machine: Machine, *, unready: Status, now: float) -> Item:
    """What the probes make of a stage or pipeline.

    Args:
        machine: Its state machine.
        unready: What an overload is for readiness.
        now: Wall clock.
    """
    name = f"pipeline:{machine.pipeline}"
    if machine.stage is not None:
        name = f"stage:{machine.pipeline}/{machine.stage}"
    elif not machine.pipeline:
        name = "process"
    state = machine.state
    live = _VERDICTS[state]
    ready = unready if state == _names.OVERLOADED else live
    calm = state == _names.HEALTHY
    return Item(
        name=name,
        kind="component",
        live=live,
        ready=ready,
        startup=None,
        output="" if calm else f"{state}: {machine.sign.reason}",
        value=None if calm else machine.sign.value,
        unit="",
        time=now,
    )


def item_of_check(result: Result) -> Item:
    """What the probes make of a user's check."""
    status = result.status
    return Item(
        name=result.name,
        kind="component",
        live=status if "live" in result.probes else None,
        ready=status if "ready" in result.probes else None,
        startup=status if "startup" in result.probes else None,
        output=result.output,
        value=result.seconds,
        unit="s",
        time=result.time,
    )


def item_of_heartbeat(beat: Heartbeat, now: float) -> Item:
    """What the probes make of a loop's heartbeat."""
    age = beat.age
    status: Status = "fail" if beat.dead else "warn" if beat.late else "pass"
    output = ""
    if status != "pass":
        word = "dead" if beat.dead else "blocked"
        output = (
            f"{beat.what} {beat.name} is {word}: no beat for {age:.1f} s, the limit is "
            f"{beat.limit:g} s"
        )
    return Item(
        name=f"heartbeat:{beat.name}",
        kind="system",
        live=status,
        ready=status,
        startup=None,
        output=output,
        value=age,
        unit="s",
        time=now,
    )


def verdict(values: Sequence[Status | None]) -> Status:
    """The worst of several verdicts."""
    if "fail" in values:
        return "fail"
    return "warn" if "warn" in values else "pass"
