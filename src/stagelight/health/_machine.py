"""The state machine of one stage: flags with a hold on both sides, one word for them.

``overloaded`` and ``degraded`` are flags that can both hold; the worse one is told.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stagelight import _names

if TYPE_CHECKING:
    from stagelight.health._limits import Limits


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that is wrong now.

    Attributes:
        reason: What, in words, with value and limit.
        value: What was measured.
        limit: Where it begins to count.
    """

    reason: str
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one stage at one moment.

    Each sign is there from its upper threshold on; the ``*_clear`` flags tell that the
    value is below its lower one.

    Attributes:
        stalled: No progress with work queued for too long.
        overloaded: More comes in than it can do.
        overload_clear: That is over.
        degraded: It works, and not as it should.
        degraded_clear: That is over.
        raised: Degradations that are certain already, as a firing alert is.
        pressed: Overloads that are certain already.
    """

    stalled: Sign | None = None
    overloaded: Sign | None = None
    overload_clear: bool = True
    degraded: Sign | None = None
    degraded_clear: bool = True
    raised: Sign | None = None
    pressed: Sign | None = None


#: Nothing is wrong; most stages are told of this way most of the time.
CALM: Final = Facts()


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state.

    Attributes:
        pipeline: Name of the pipeline, "" for the process.
        stage: Name of the stage, or None for the pipeline itself.
        before: State before.
        after: State now.
        reason: Why, with value and limit.
        value: What was measured.
        limit: Where it begins to count.
        time: Wall clock in seconds since the epoch.
        lasted: Seconds in the state before.
    """

    pipeline: str
    stage: str | None
    before: str
    after: str
    reason: str
    value: float
    limit: float
    time: float
    lasted: float


class Latch:
    """A flag that is set, and cleared, only by what lasts.

    Args:
        enter: Seconds that the one has to last.
        leave: Seconds that the other has to last.
    """

    __slots__ = ("_enter", "_leave", "_since", "on")

    def __init__(self, enter: float, leave: float) -> None:
        self._enter, self._leave = enter, leave
        self._since: float | None = None
        self.on = False

    def update(self, now: float, *, enter: bool, leave: bool) -> None:
        """Take one look into account.

        Args:
            now: Monotonic clock in seconds.
            enter: Whether what sets it is there.
            leave: Whether what clears it is there.
        """
        wanted, hold = (leave, self._leave) if self.on else (enter, self._enter)
        if not wanted:
            self._since = None
            return
        if self._since is None:
            self._since = now
        if now - self._since >= hold:
            self.on = not self.on
            self._since = None

    def force(self) -> None:
        """Set it at once; it is cleared as ever."""
        self.on = True
        self._since = None


#: Checks in a row that must see a stall: one late tick proves nothing.
_STALLED_CHECKS: Final = 3
_FINE: Final = Sign("all clear", 0.0, 0.0)


class Machine:
    """The state of one stage, or of a pipeline or process as far as it has its own.

    Args:
        pipeline: Name of the pipeline, "" for the process.
        stage: Name of the stage, or None.
        limits: The thresholds.
        now: Monotonic clock in seconds.
        wall: Wall clock in seconds since the epoch.
    """

    def __init__(
        self,
        pipeline: str,
        stage: str | None,
        limits: Limits,
        now: float,
        wall: float,
    ) -> None:
        self.pipeline, self.stage = pipeline, stage
        self._limits = limits
        self._overload = Latch(limits.overload_hold, limits.relief_hold)
        self._degraded = Latch(limits.degraded_hold, limits.clear_hold)
        self._stalls = 0
        self._stalled = False
        self._changes: deque[float] = deque(maxlen=limits.flaps)
        self._entered = now
        self._signs = {
            _names.STALLED: _FINE,
            _names.OVERLOADED: _FINE,
            _names.DEGRADED: _FINE,
        }
        self.state = _names.HEALTHY
        self.sign = _FINE
        self.since = wall
        self.flapping = False

    def update(self, facts: Facts, now: float, wall: float) -> Transition | None:
        """Take one look into account; returns the change of state, if it makes one.

        Args:
            facts: What is known.
            now: Monotonic clock in seconds.
            wall: Wall clock in seconds since the epoch.
        """
        self._note_signs(facts)
        self._note_stall(facts)
        if facts.pressed is not None:
            self._overload.force()
        self._overload.update(
            now, enter=facts.overloaded is not None, leave=facts.overload_clear
        )
        if facts.raised is not None:
            self._degraded.force()
        self._degraded.update(
            now,
            enter=facts.degraded is not None,
            leave=facts.degraded_clear and facts.raised is None,
        )
        return self._move(self._wanted(), now, wall)

    def _note_signs(self, facts: Facts) -> None:
        if facts is CALM:
            return
        found = {
            _names.STALLED: facts.stalled,
            _names.OVERLOADED: facts.pressed or facts.overloaded,
            _names.DEGRADED: facts.raised or facts.degraded,
        }
        self._signs.update({k: sign for k, sign in found.items() if sign is not None})

    def _note_stall(self, facts: Facts) -> None:
        if facts.stalled is not None:
            self._stalls += 1
            self._stalled = self._stalled or self._stalls >= _STALLED_CHECKS
        else:
            if self._stalled:
                # It moves again; that it is well again has to be seen first.
                self._degraded.force()
                self._signs[_names.DEGRADED] = Sign("it was stalled until now", 0, 0)
            self._stalls = 0
            self._stalled = False

    def _wanted(self) -> str:
        if self._stalled:
            return _names.STALLED
        if self._overload.on:
            return _names.OVERLOADED
        return _names.DEGRADED if self._degraded.on else _names.HEALTHY

    def _move(self, wanted: str, now: float, wall: float) -> Transition | None:
        window = self._limits.flap_window
        full = len(self._changes) == self._limits.flaps
        self.flapping = full and now - self._changes[0] < window
        if wanted == self.state:
            self.sign = self._signs.get(self.state, _FINE)
            return None
        worse = _names.STATES.index(wanted) > _names.STATES.index(self.state)
        # From a stall the first progress leads out at once: a restart hangs on it.
        freed = self.state == _names.STALLED
        dwelt = now - self._entered >= self._limits.dwell
        if not worse and not freed and (not dwelt or self.flapping):
            return None
        sign = self._signs.get(wanted, _FINE)
        change = Transition(
            pipeline=self.pipeline,
            stage=self.stage,
            before=self.state,
            after=wanted,
            reason=sign.reason,
            value=sign.value,
            limit=sign.limit,
            time=wall,
            lasted=now - self._entered,
        )
        self._changes.append(now)
        self.state, self.sign, self.since = wanted, sign, wall
        self._entered = now
        return change
