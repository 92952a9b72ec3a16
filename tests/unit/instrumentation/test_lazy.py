"""Steps of generators that somebody else drives, and what is told of few calls."""

from __future__ import annotations

import asyncio
import sys
import traceback
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

import stagelight
from stagelight._compiled import BOUND
from stagelight._detail import DETAIL
from stagelight._extension import NATIVE
from stagelight._journey import TASK_TURN, Journey
from stagelight._workers import this_worker
from stagelight.instrumentation.frameworks._delivery import Delivery
from stagelight.instrumentation.frameworks._lazy import Lazy
from stagelight.instrumentation.frameworks._register import is_within
from stagelight.instrumentation.frameworks._steps import step

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = 1_000_000_000


@pytest.fixture(params=["C", "Python"])
def lazy(request: pytest.FixtureRequest) -> Lazy:
    """A call of a stage of the test's own, which has just begun."""
    return begun(request.node.name, native=request.param == "C")


def begun(name: str, *, native: bool) -> Lazy:
    """A call whose steps are done in C, where that is there, or in Python."""
    call = Lazy(step(name, rule="a test", kind="coroutine"))
    if native and not BOUND:
        pytest.skip("stagelight._native is not built or not wanted")
    if not native:
        call._steps = None
    return call


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


#: What a step does; a nested one is another call's.
WORK = st.recursive(
    st.sampled_from(["work", "wait", "stage", "drop", "fail"]),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.skipif(not BOUND, reason="stagelight._native is not built or not wanted")
@given(steps=st.lists(WORK, min_size=1, max_size=5), outermost=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_steps_in_c_record_what_those_in_python_do(
    steps: list[Any], outermost: bool, clock: Any
):
    """Whatever runs in them, nested ones, drops, errors and waits included."""
    in_c = recorded(steps, Work(clock, native=True), outermost=outermost)
    assert in_c == recorded(steps, Work(clock, native=False), outermost=outermost)


class Work:
    """What steps do, by a clock that only this moves.

    Args:
        clock: The clock.
        native: Whether C takes the steps.
    """

    def __init__(self, clock: Any, *, native: bool) -> None:
        self.clock = clock
        self.native = native
        self.seen: list[Any] = []
        self.calls: list[Lazy] = []
        self.pipeline = stagelight.Pipeline("both")
        self.inner = self.pipeline.stage(self.pass_time, name="inner")
        self.around = self.pipeline.stage(self.do_quietly, name="around")

    def pass_time(self) -> None:
        """Work that takes a while."""
        self.clock.now += 100

    def call(self, name: str) -> Any:
        """Begin a call; gives what runs one step of it."""
        call = begun(name, native=self.native)
        self.calls.append(call)
        return partial(call._steps or Lazy.step, call, self.do)

    def do_quietly(self, work: Any, run: Any) -> None:
        """Do some work in a step of another call."""
        with suppress(LookupError):
            run(work)

    def do(self, work: Any) -> None:
        """Do some work."""
        worker = this_worker()
        self.seen.append(
            (worker.slot.stage.name, worker.away, worker.pause, worker.special)
        )
        if isinstance(work, list):
            run = self.call("nested")
            for one in work:
                run(one)
        elif work == "wait":
            worker.pause += 10_000
            worker.away += 10_000
            self.clock.now += 10_000
        elif work == "stage":
            self.inner()
        elif work == "drop":
            stagelight.drop("old")
        elif work == "fail":
            raise LookupError(work)
        self.clock.now += 1000


def recorded(steps: list[Any], work: Work, *, outermost: bool) -> Any:
    """All that is left of a call with these steps."""
    run = work.call("whole")
    for one in steps:
        if outermost:
            work.do_quietly(one, run)
        else:
            work.around(one, run)
    assert this_worker().run is None
    assert not this_worker().slot.since
    for call in work.calls:
        call.finish(None)
    own = [one.slot() for one in work.pipeline._record.stages.values()]
    found = []
    for slot in {id(one): one for one in [*map(slot_of, work.calls), *own]}.values():
        counts = slot.finished, slot.sum, slot.apart, slot.busy, slot.since, slot.errors
        found.append((slot.stage.name, counts, dict(slot.drops)))
        slot.clear()
    return work.seen, found


@pytest.mark.skipif(not BOUND, reason="stagelight._native is not built or not wanted")
def test_steps_in_c_keep_nothing():
    """As many references afterwards as before, whether a step failed or not."""

    def fail(event: object) -> None:
        raise LookupError(event)

    call, event = begun("kept", native=True), object()
    slot = slot_of(call)
    held = [event, slot, slot.worker, call._run, call, fail]

    def count() -> list[int]:
        call._steps(call, id, event)
        with suppress(LookupError):
            call._steps(call, fail, event)
        return [sys.getrefcount(one) for one in held]

    before = count()
    for _ in range(100):
        after = count()
    assert after == before
    with pytest.raises(TypeError, match="a step is a function and its argument"):
        call._steps(call, fail)
    with pytest.raises(TypeError, match="this is no run"):
        NATIVE.Steps(object(), slot.stage.slot, Lazy.step)
    call.finish(None)


def test_a_known_event_needs_no_fetch():
    """What is told of its event leaves nothing fetched behind, in a loop or not."""

    async def begin() -> Any:
        call = Lazy(made, event, Delivery(journey, "somewhere", 5))
        return call._run, TASK_TURN.get(), dict(this_worker().recent)

    event, journey = object(), Journey(1)
    made = step("known", rule="a test", kind="coroutine")
    run, turn, recent = asyncio.run(begin())
    assert (run.turn.journey, run.turn.queue, run.turn.wait) == (
        journey,
        "somewhere",
        5,
    )
    assert (turn, recent) == (None, {})
    assert "somewhere" in made.record.inputs
    run = Lazy(made, event, Delivery(journey, ""))._run
    assert run.turn.journey is journey
    assert (this_worker().turn, this_worker().pending) == (None, [])


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
