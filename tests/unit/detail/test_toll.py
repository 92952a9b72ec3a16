"""What recording costs a worker: sampled, reckoned, and told."""

from __future__ import annotations

import queue
import threading
import time

import pytest

import stagelight
from stagelight import _own_names, _sampling
from stagelight._distribution import NEVER
from stagelight._journey import TASK_TURN
from stagelight._slots import NO_SLOT, TRACING
from stagelight._toll import COSTS, ON_RECKONED, Costs, Toll, toll_of
from stagelight._tracer import TRACER
from stagelight._workers import this_worker


@pytest.fixture
def costs(monkeypatch):
    """Costs that are known."""
    for name, value in {
        "short": 100.0,
        "short_cold": 100.0,
        "light": 300.0,
        "light_cold": 300.0,
        "full": 5000.0,
        "run": 7000.0,
    }.items():
        monkeypatch.setattr(COSTS, name, value)


@pytest.fixture
def toll(costs):
    """This thread's toll, anew."""
    worker = this_worker()
    worker.toll = Toll(time.perf_counter_ns())
    yield worker.toll
    worker.toll = None


def test_samples_are_averaged_and_interruptions_cut():
    """A sample that was interrupted weighs no more than one four times as long."""
    costs = Costs()
    costs.learn("short", 100)
    costs.learn("short", 1_000_000)
    assert 100 < costs.short < 120
    for _ in range(100):
        costs.learn("short", 50)
    assert costs.short == pytest.approx(50, rel=0.05)


def test_caches_forget():
    """A call long after the last one costs more than one right after it."""
    costs = Costs()
    costs.light, costs.light_cold = 300.0, 2300.0
    assert costs.call("light", 0) == 300
    assert costs.call("light", 100_000) == 1300
    assert costs.call("light", 10_000_000) == 2300
    assert costs.call("short", 0) == 300  # the only one known


def test_short_and_full_calls_are_reckoned(pipeline, toll):
    """Each at its own price; a nested call is one on the full path."""

    @pipeline.stage
    def inner(event):
        return event

    @pipeline.stage
    def outer(event):
        return inner(event)

    worker = this_worker()
    worker.alert &= ~TRACING
    for number in range(10):
        outer(number)
    found = toll.rest(worker)
    assert found.calls == 20
    assert found.cost - toll.apart == 10 * 100 + 10 * 5000


def test_queues_and_failures_are_reckoned(pipeline, toll):
    """A fetch and a put cost some calls; what failures cost is timed."""
    jobs = pipeline.queue(queue.Queue(), "jobs")

    @pipeline.stage
    def send(event):
        jobs.put(event)

    @pipeline.stage
    def fail(event):
        raise ValueError

    send(1)
    before = toll.apart
    with pytest.raises(ValueError, match=r"^$"):
        fail(jobs.get())
    assert toll.apart > before
    assert toll.rest(this_worker()).cost > 600


def test_a_reckoning_is_told_once_a_second(pipeline, toll, clock):
    """With the cost, the busy time and the time that passed; nothing counts twice."""
    told = []

    @pipeline.stage
    def work(event):
        clock.advance(0.1)

    worker = this_worker()
    toll.__init__(clock())
    ON_RECKONED.append(lambda *one: told.append(one))
    try:
        for number in range(25):
            work(number)
            toll.reckon(worker, clock())
    finally:
        ON_RECKONED.pop()
    assert [round(passed / 1e9, 1) for *_, passed in told] == [1.0, 1.0]
    rest = toll.rest(worker)
    assert toll.whole.calls + rest.calls == 25
    assert sum(busy for _, busy, _ in told) + rest.busy == 2_500_000_000


def test_sampling_leaves_nothing_behind(pipeline):
    """It runs on a worker of its own, beside an open call of this one."""
    worker = this_worker()

    @pipeline.stage
    def work(event):
        before = (worker.slot, worker.away, worker.trail, worker.alert)
        twin = _sampling._Twin()
        twin.sample()
        twin.sample()
        assert (worker.slot, worker.away, worker.trail, worker.alert) == before
        assert twin._worker.slot is NO_SLOT
        assert not hasattr(twin.stage.local, "slot")
        return event

    work(1)
    assert pipeline.stats()["stages"]["work"]["count"] == 1


def test_sampling_makes_no_span(captured, pipeline):
    """Not even where the next journey would be in the head sample."""
    TRACER.configure(captured.tracer_provider, None)
    twin = _sampling._Twin()
    for _ in range(4):
        twin.sample()
    assert COSTS.light > 0
    assert captured.spans() == []


def test_the_metrics_tell_it(captured, pipeline):
    """Time by part, share, and one level of three."""
    work = pipeline.stage(lambda event: event, name="work")
    thread = threading.Thread(target=lambda: [work(n) for n in range(2000)])
    thread.start()
    thread.join()
    stagelight.detail("basic")
    parts = {
        point["attributes"][_own_names.PART]: point["value"]
        for point in captured.points(_own_names.TELEMETRY_TIME.name)
    }
    assert set(parts) == {"recording", "background"}
    assert parts["recording"] > 0
    levels = {
        point["attributes"][_own_names.LEVEL]: point["value"]
        for point in captured.points(_own_names.TELEMETRY_DETAIL.name)
    }
    assert levels == {"basic": 1, "normal": 0, "detailed": 0}
    [share] = captured.points(_own_names.TELEMETRY_SHARE.name)
    assert 0 <= share["value"] <= 1


def test_a_worker_has_one(pipeline):
    """It is made where the thread first needs it."""
    worker = this_worker()
    worker.toll = None
    assert toll_of(worker) is toll_of(worker)


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
@pytest.mark.parametrize("traced", [False, True])
def test_coroutines_and_items_are_sampled(monkeypatch, captured, kind, traced):
    """On the path that they take, in a context of their own, and without a span."""
    path = "coroutine" if kind == "coroutine" else "item"
    monkeypatch.setattr(TRACER, "on", traced)
    monkeypatch.setattr(TRACER, "due", NEVER)
    for name in Costs.__slots__:
        monkeypatch.setattr(COSTS, name, 0.0)
    worker = this_worker()
    before = (worker.slot, worker.turn, worker.trail, TASK_TURN.get())
    twin = _sampling._Twin()
    twin.sample(kind)
    assert (getattr(COSTS, path) > 0) is not traced
    assert (getattr(COSTS, f"{path}_light") > 0) is traced
    assert (worker.slot, worker.turn, worker.trail, TASK_TURN.get()) == before
    assert captured.spans() == []


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
def test_many_first_samples_never_turn_the_twin_over(pipeline, captured, kind):
    """A full buffer would, and its calls would then be traced as those of workers."""
    twin = _sampling._Twin()
    TRACER.configure(captured.tracer_provider, 0)
    twin.sample(kind)
    assert twin._slot.roll == NEVER
    TRACER.configure(captured.tracer_provider, None)
    for _ in range(4):
        twin.sample(kind)
    assert twin._slot.roll == NEVER
    assert captured.spans() == []


def test_what_was_not_sampled_costs_two_calls():
    """Until a coroutine was sampled it is reckoned by the call of the same kind."""
    costs = Costs()
    costs.short, costs.light = 100.0, 300.0
    assert costs.other("coroutine", 0, traced=False) == 200
    assert costs.other("item", 0, traced=True) == 600
    costs.item_light = 50.0
    assert costs.other("item", 0, traced=True) == 50
