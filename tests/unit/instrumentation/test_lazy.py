"""Steps of generators that somebody else drives, and what is told of few calls."""

from __future__ import annotations

import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

import stagelight
from stagelight._detail import DETAIL
from stagelight._workers import this_worker
from stagelight.instrumentation.frameworks._lazy import Lazy
from stagelight.instrumentation.frameworks._patches import Patches
from stagelight.instrumentation.frameworks._register import is_within
from stagelight.instrumentation.frameworks._steps import step

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = 1_000_000_000


@pytest.fixture
def lazy(request: pytest.FixtureRequest) -> Lazy:
    """A call of a stage of the test's own, which has just begun."""
    return Lazy(step(request.node.name, rule="a test", kind="coroutine"))


def slot_of(call: Lazy) -> Any:
    """Where it is recorded."""
    run = call._run
    assert run is not None
    return run.slot


@pytest.mark.parametrize("level", ["normal", "detailed"])
def test_steps_are_the_work_and_what_is_between_is_not(
    level: Any, lazy: Lazy, clock: Any
):
    """Each item's making counts, at each level of detail; its use does not."""

    def items() -> Iterator[int]:
        for number in range(3):
            clock.advance(2)
            yield number

    DETAIL.choose(level)
    try:
        for _ in lazy.over(items()):
            clock.advance(5)
    finally:
        DETAIL.choose("normal")
    slot = slot_of(lazy)
    assert slot.finished == 1
    assert slot.sum == 6 * SECOND
    assert slot.busy == 6 * SECOND
    assert slot.since == 0


def test_what_is_called_in_a_step_is_not_its_own_time(lazy: Lazy, clock: Any):
    """A stage called in a step has its time for itself; the worker is put back."""
    pipeline = stagelight.Pipeline("lazy")

    @pipeline.stage
    def inner() -> None:
        clock.advance(3)

    @pipeline.stage
    def outer() -> list[int]:
        clock.advance(1)
        return list(lazy.over(items()))

    def items() -> Iterator[int]:
        clock.advance(2)
        inner()
        yield 1

    assert outer() == [1]
    assert slot_of(lazy).sum == 5 * SECOND
    assert slot_of(lazy).busy == 2 * SECOND
    found = {one.name: one.slot().busy for one in pipeline._record.stages.values()}
    assert found == {"outer": 1 * SECOND, "inner": 3 * SECOND}
    assert this_worker().run is None


def test_a_drop_in_a_step_is_the_calls(lazy: Lazy):
    """What discards its event in a step ends the call as dropped."""

    def items() -> Iterator[int]:
        yield 1
        stagelight.drop("old")

    assert list(lazy.over(items())) == [1]
    assert dict(slot_of(lazy).drops) == {("old", True): 1}


def test_an_error_has_no_frames_of_ours_before_its_own(lazy: Lazy):
    """It passes through a step as it would through nothing."""

    def items() -> Iterator[int]:
        yield 1
        raise LookupError("two")

    with pytest.raises(LookupError, match="two") as caught:
        list(lazy.over(items()))
    names = [one.name for one in traceback.extract_tb(caught.tb)]
    assert names[-1] == "items"
    assert "step" not in names
    assert slot_of(lazy).errors == 1


class Scheduler:
    """A class of a framework."""

    def put(self, item: object, *, front: bool = False) -> object:
        """Say whether it was taken."""
        if item is None:
            raise ValueError(item)
        return bool(item) if front else item


def test_only_calls_that_return_true_are_told():
    """Nothing else is looked at; results and errors stay, and so does its name."""
    told: list[Any] = []
    patches = Patches()
    original = Scheduler.put
    patches.accepted(Scheduler, "put", lambda *given: told.append(given))
    try:
        scheduler = Scheduler()
        assert [scheduler.put(one) for one in (False, 1, "x")] == [False, 1, "x"]
        with pytest.raises(ValueError, match="None"):
            scheduler.put(None)
        assert not told
        assert scheduler.put(1, front=True) is True
        assert told == [(scheduler, (1,), {"front": True}, True)]
        assert pickle.loads(pickle.dumps(Scheduler.put)) is Scheduler.put
    finally:
        patches.undo()
    assert Scheduler.put is original


NUMBER = st.integers(0, 12).map(str)
VERSION = st.lists(NUMBER, min_size=1, max_size=4).map(".".join)
LATER = st.sampled_from(["", "", "", "rc1", ".dev2", ".post1", "+local"])


@given(VERSION, LATER, VERSION, VERSION)
def test_versions_compare_as_packaging_has_them(
    release: str, suffix: str, low: str, high: str
):
    """Also those that are no plain releases, of which packaging itself is asked."""
    versions = f">={low},<{high}"
    expected = SpecifierSet(versions).contains(release + suffix, prereleases=True)
    assert is_within(release + suffix, versions) == expected
