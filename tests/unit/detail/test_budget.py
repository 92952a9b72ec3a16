"""The budget: less is recorded where recording takes too much, and never to and fro."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stagelight
from stagelight import _budget, _own_names
from stagelight._budget import Budget
from stagelight._detail import DETAIL
from stagelight._tracer import TRACER

SECOND = 1_000_000_000


class Load:
    """A worker whose calls cost a share that depends on the level."""

    def __init__(self, budget, clock):
        self.budget, self.clock = budget, clock
        self.costs = {"basic": 0.3, "normal": 1.0, "detailed": 5.0}
        self.levels = [DETAIL.level]

    def run(self, seconds, share):
        """Let it run with the share that normal would have; returns the level."""
        for _ in range(seconds):
            cost = share * self.costs[DETAIL.level]
            busy = 0.8 * SECOND
            self.budget.hear(cost / (1 - min(share, 0.9)) * busy, int(busy), SECOND)
            self.clock.advance(1)
            if DETAIL.level != self.levels[-1]:
                self.levels.append(DETAIL.level)
        return DETAIL.level


@pytest.fixture
def load(captured, clock):
    """A load under a budget of its own, of 2 %."""
    budget = Budget()
    DETAIL.changed.append(budget.forget)
    yield Load(budget, clock)
    DETAIL.changed.remove(budget.forget)


def test_less_is_recorded_after_ten_seconds_above_it(load):
    """A shorter burst changes nothing."""
    assert load.run(9, 0.05) == "normal"
    assert load.run(3, 0.01) == "normal"
    assert load.run(9, 0.05) == "normal"
    assert load.run(4, 0.05) == "basic"


def test_a_load_that_stays_changes_it_once(load):
    """What basic costs is below the budget, but what normal would is not."""
    load.run(4000, 0.05)
    assert load.levels == ["normal", "basic"]


def test_it_comes_back_after_a_long_quiet_time(load):
    """A minute in which normal would have taken less than half of the budget."""
    load.run(20, 0.05)
    assert load.run(50, 0.005) == "basic"
    assert load.run(20, 0.005) == "normal"


def test_coming_back_takes_longer_each_time(load):
    """So a load that swings changes it ever more rarely."""
    for _ in range(40):
        load.run(30, 0.05)
        load.run(120, 0.005)
    assert load.levels[:4] == ["normal", "basic", "normal", "basic"]
    assert len(load.levels) <= 6


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0, 0.9)), max_size=20))
def test_it_never_changes_twice_within_ten_seconds(phases):
    """Whatever the load does; and it never records more than was chosen."""
    budget, now = Budget(), [0]
    changes = []
    before = DETAIL.level
    for seconds, share in phases:
        for _ in range(seconds):
            now[0] += 1
            budget._judge(share)
            if DETAIL.level != before:
                changes.append(now[0])
                before = DETAIL.level
            assert DETAIL.level in {"basic", "normal"}
    DETAIL.choose("normal")
    gaps = [later - at for at, later in itertools.pairwise(changes)]
    assert all(gap >= 10 for gap in gaps)


def test_what_the_user_chose_is_never_exceeded(load):
    """At basic, however cheap it is, it stays at basic."""
    stagelight.detail("basic")
    assert load.run(500, 0.0001) == "basic"


def test_the_users_choice_ends_what_the_budget_decided(load):
    """And it begins to watch anew."""
    load.run(20, 0.05)
    assert stagelight.detail() == "basic"
    assert stagelight.detail("normal") == "normal"
    assert load.run(9, 0.05) == "normal"


def test_detailed_goes_down_step_by_step(load):
    """Normal may do."""
    stagelight.detail("detailed")
    load.run(30, 0.008)
    assert load.levels == ["normal", "detailed", "normal"]


def test_no_budget_is_no_limit(load):
    """Zero turns it off."""
    DETAIL.budget = 0
    assert load.run(100, 0.5) == "normal"


def test_traces_that_were_asked_for_stay(load, monkeypatch):
    """By a sampler, for all journeys, or by a caller's own trace."""
    for name, value in (("sdk_decides", True), ("followed", True), ("budget", None)):
        with monkeypatch.context() as patch:
            patch.setattr(TRACER, name, value)
            assert load.run(30, 0.5) == "normal"
    monkeypatch.setattr(TRACER, "on", False)
    assert load.run(30, 0.5) == "normal"


def test_a_worker_that_is_hardly_busy_does_not_count(load):
    """Its share says nothing about what anybody notices."""
    for _ in range(50):
        load.budget.hear(0.03 * SECOND, 0, SECOND)
        load.clock.advance(1)
    assert stagelight.detail() == "normal"


def test_each_change_tells_why(load, captured):
    """One log event, with share and budget."""
    load.run(20, 0.05)
    [told] = [
        one for one in captured.logs() if one["event_name"] == _own_names.DETAIL_EVENT
    ]
    assert told["body"] == "detail is basic: its cost was above the budget"
    assert told["attributes"][_own_names.COST_BUDGET] == 0.02
    assert told["attributes"][_own_names.COST_SHARE] == pytest.approx(0.05, rel=0.1)


def test_the_levels_are_in_order():
    """There is nothing below basic, and nothing above detailed."""
    assert _budget._next("basic", -1) is None
    assert _budget._next("basic", 1) == "normal"
    assert _budget._next("detailed", 1) is None
