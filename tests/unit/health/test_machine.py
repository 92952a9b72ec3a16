from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stagelight
from stagelight import _names
from stagelight.health import Limits
from stagelight.health._machine import Facts, Latch, Machine, Sign

FULL = Sign("queue q is 95% full, the limit is 80%", 0.95, 0.8)
SICK = Sign("7.0% of the calls fail, the limit is 5.0%", 0.07, 0.05)
DEAD = Sign("no progress for 61 s with 1 in flight, the limit is 60 s", 61, 60)
OVERLOAD = Facts(overloaded=FULL, overload_clear=False)
BETWEEN = Facts(overload_clear=False)
ERRORS = Facts(degraded=SICK, degraded_clear=False)
STALL = Facts(stalled=DEAD)
CLEAR = Facts()


class Bench:
    """A machine, and a clock that each look moves."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now = 1000.0
        self.machine = Machine("p", "s", limits or Limits(), self.now, self.now)

    def look(self, facts: Facts, seconds: float = 5.0, every: float = 5.0) -> list:
        """The same facts for some time; the changes of state that they made."""
        changes = []
        for _ in range(round(seconds / every)):
            self.now += every
            change = self.machine.update(facts, self.now, self.now)
            if change is not None:
                changes.append((change.before, change.after))
        return changes

    @property
    def state(self) -> str:
        """The state now."""
        return self.machine.state


def test_an_overload_has_to_last() -> None:
    """A burst that ends within the hold changes nothing, one that lasts does."""
    bench = Bench()
    assert bench.look(OVERLOAD, 25) == []
    assert bench.look(CLEAR, 5) == []
    assert bench.look(OVERLOAD, 30) == []
    assert bench.look(OVERLOAD, 5) == [("healthy", "overloaded")]
    assert bench.machine.sign == FULL


def test_leaving_needs_the_lower_threshold_to_last() -> None:
    """Between both thresholds it stays; below the lower one it leaves after a hold."""
    bench = Bench()
    bench.look(OVERLOAD, 60)
    assert bench.look(BETWEEN, 600) == []
    assert bench.look(CLEAR, 55) == []
    assert bench.look(BETWEEN, 5) == []
    assert bench.look(CLEAR, 60) == []
    assert bench.look(CLEAR, 5) == [("overloaded", "healthy")]


def test_the_worse_of_two_flags_is_told() -> None:
    """Overloaded and degraded hold together; when the worse ends the other shows."""
    bench = Bench()
    both = Facts(
        overloaded=FULL, overload_clear=False, degraded=SICK, degraded_clear=False
    )
    assert bench.look(both, 60) == [("healthy", "overloaded")]
    assert bench.look(ERRORS, 120) == [("overloaded", "degraded")]
    assert bench.machine.sign == SICK
    assert bench.look(CLEAR, 400) == [("degraded", "healthy")]


def test_a_stall_needs_three_looks_and_ends_with_the_first_progress() -> None:
    """Two late looks prove nothing; progress leads to degraded, later to healthy."""
    bench = Bench()
    assert bench.look(STALL, 10) == []
    assert bench.look(CLEAR, 5) == []
    assert bench.look(STALL, 15) == [("healthy", "stalled")]
    assert bench.look(CLEAR, 5) == [("stalled", "degraded")]
    assert bench.machine.sign.reason == "it was stalled until now"
    assert bench.look(CLEAR, 290) == []
    assert bench.look(CLEAR, 15) == [("degraded", "healthy")]


def test_a_state_is_kept_for_the_dwell() -> None:
    """A better state is not entered before the dwell is over, a worse one is."""
    limits = Limits(overload_hold=1, relief_hold=1, dwell=30, degraded_hold=1)
    bench = Bench(limits)
    assert bench.look(OVERLOAD, 10) == [("healthy", "overloaded")]
    assert bench.look(CLEAR, 20) == []
    assert bench.look(CLEAR, 15) == [("overloaded", "healthy")]


def test_flapping_holds_the_worse_state() -> None:
    """After six changes in an hour it stays worse, and says that it flaps."""
    limits = Limits(overload_hold=1, relief_hold=1, dwell=1)
    bench = Bench(limits)
    changes = []
    for _ in range(10):
        changes += bench.look(OVERLOAD, 60)
        changes += bench.look(CLEAR, 60)
    assert len(changes) == 7
    assert (bench.state, bench.machine.flapping) == ("overloaded", True)
    assert bench.look(CLEAR, 3600, 60) == [("overloaded", "healthy")]


def test_a_raised_flag_counts_at_once() -> None:
    """What is certain already needs no hold, and is held while it is raised."""
    bench = Bench()
    raised = Facts(raised=SICK, degraded_clear=False)
    assert bench.look(raised, 5) == [("healthy", "degraded")]
    assert bench.look(raised, 900) == []
    assert bench.look(CLEAR, 400) == [("degraded", "healthy")]
    pressed = Facts(pressed=FULL, overload_clear=False)
    assert bench.look(pressed, 5) == [("healthy", "overloaded")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([CLEAR, BETWEEN, OVERLOAD, ERRORS]),
            st.integers(1, 60),
        ),
        max_size=200,
    )
)
def test_it_never_changes_more_often_than_allowed(steps) -> None:
    """Whatever comes, there are at most eight changes in an hour."""
    limits = Limits()
    bench = Bench(limits)
    times = []
    for facts, number in steps:
        times += [bench.now for _ in range(number) if bench.look(facts)]
    for at in times:
        assert len([t for t in times if at <= t < at + limits.flap_window]) <= 8
    assert bench.state in _names.STATES


def test_a_latch_without_holds_follows_at_once() -> None:
    """Holds of nothing are allowed, for those who want none."""
    latch = Latch(0, 0)
    latch.update(1, enter=True, leave=False)
    assert latch.on
    latch.update(1, enter=False, leave=True)
    assert not latch.on


def test_limits_that_cannot_be_right_are_refused() -> None:
    """The error names the limit, its value and what it takes."""
    with pytest.raises(stagelight.ConfigurationError, match="stall=0"):
        Limits(stall=0)
    with pytest.raises(stagelight.ConfigurationError, match="'push' or 'pull'"):
        Limits(ingress="none")
    with pytest.raises(stagelight.ConfigurationError, match=r"fill_leave=0\.9"):
        Limits(fill_leave=0.9)
    with pytest.raises(stagelight.ConfigurationError, match="takes a number"):
        Limits(dwell="long")


def test_scaled_limits_are_faster_and_not_laxer() -> None:
    """Scaling changes times only."""
    fast = Limits().scaled(1 / 60)
    assert (fast.stall, fast.clear_hold, fast.fill_enter) == (1.0, 5.0, 0.8)
