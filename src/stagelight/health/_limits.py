"""When a stage counts as stalled, overloaded or degraded, and when no longer."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from stagelight._errors import ConfigurationError

Ingress = Literal["push", "pull"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds of the state machine; times in seconds, shares from 0 to 1.

    What enters a state and what leaves it are apart, and each has to last.

    Attributes:
        stall: Without progress for this long, with work queued, a stage is stalled...
        stall_p99: ...or for this many times its p99, whichever is longer.
        fill_enter: Fill of its input queue from which a stage is overloaded.
        fill_leave: Fill below which it is not any more.
        blocked_enter: Share of the time that producers wait, which overloads as well.
        blocked_leave: Share below which it does not any more.
        overload_hold: How long that has to last.
        relief_hold: How long the relief has to last.
        errors_enter: Share of failed calls from which a stage is degraded.
        errors_leave: Share below which it is not any more.
        retries_enter: Retries per call from which a stage is degraded.
        retries_leave: Retries per call below which it is not any more.
        least_calls: Calls in the window below which shares mean nothing.
        degraded_hold: How long errors, retries or a stuck worker have to last.
        clear_hold: How long all has to be clear before it is healthy again.
        dwell: Least time in a state before a better one.
        flaps: Changes in ``flap_window`` after which the worse state is held.
        flap_window: See ``flaps``.
        ingress: ``push`` where others send to it, so that an overloaded process is
            taken out of the load balancer; ``pull`` where it fetches for itself.
        max_unready: How long an overload may keep a process unready: not for ever, or
            all replicas might go at once.
    """

    stall: float = 60.0
    stall_p99: float = 20.0
    fill_enter: float = 0.8
    fill_leave: float = 0.5
    blocked_enter: float = 0.5
    blocked_leave: float = 0.1
    overload_hold: float = 30.0
    relief_hold: float = 60.0
    errors_enter: float = 0.05
    errors_leave: float = 0.02
    retries_enter: float = 0.03
    retries_leave: float = 0.01
    least_calls: int = 20
    degraded_hold: float = 30.0
    clear_hold: float = 300.0
    dwell: float = 30.0
    flaps: int = 6
    flap_window: float = 3600.0
    ingress: Ingress = "push"
    max_unready: float = 300.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "ingress":
                if value not in {"push", "pull"}:
                    raise ConfigurationError(
                        f"Limits(ingress={value!r}): it takes 'push' or 'pull'"
                    )
            elif isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ConfigurationError(
                    f"Limits({field.name}={value!r}): it takes a number"
                )
            elif not value > 0:
                raise ConfigurationError(
                    f"Limits({field.name}={value!r}): it takes a number above 0"
                )
        for kind in ("fill", "blocked", "errors", "retries"):
            enter, leave = (
                getattr(self, f"{kind}_{side}") for side in ("enter", "leave")
            )
            if leave > enter:
                raise ConfigurationError(
                    f"Limits({kind}_leave={leave!r}): it takes at most "
                    f"{kind}_enter, which is {enter!r}"
                )

    def scaled(self, factor: float) -> Limits:
        """The same with all times multiplied, for short-lived programs and tests.

        Args:
            factor: Such as 1/60: minutes become seconds.
        """
        times = (
            "stall",
            "overload_hold",
            "relief_hold",
            "degraded_hold",
            "clear_hold",
            "dwell",
            "flap_window",
            "max_unready",
        )
        return replace(self, **{name: getattr(self, name) * factor for name in times})
