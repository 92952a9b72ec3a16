from __future__ import annotations

import queue
import threading
from contextlib import ExitStack, contextmanager, suppress

import pytest

from stagelight import _names, _sinks, health
from stagelight._metrics._look import Look
from stagelight.health import Limits
from stagelight.health._monitor import Monitor


def looks(monitor, clock, seconds, every=5.0, between=None):
    """Look for some time; the states of all stages at the end."""
    for _ in range(round(seconds / every)):
        clock.advance(every)
        if between is not None:
            between()
        monitor.tick()
    return states(monitor)


def states(monitor):
    """State of every stage."""
    report = monitor._report
    return {
        stage: one.state
        for pipeline in report.pipelines.values()
        for stage, one in pipeline.stages.items()
    }


def item(report, name):
    """One thing that the probes look at."""
    return next(one for one in report.items if one.name == name)


@contextmanager
def hanging(stage):
    """A thread that is inside of a stage until the block ends."""
    inside, go = threading.Event(), threading.Event()

    def work():
        stage((inside.set, go.wait))

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(5)
    try:
        yield
    finally:
        go.set()
        thread.join()


def call_through(event):
    """A stage that tells that it runs, and waits to be let go."""
    tell, wait = event
    tell()
    wait(5)


def test_idle_is_healthy(pipeline, monitor, clock) -> None:
    """A stage that has nothing to do is well, however long."""
    stage = pipeline.stage(lambda event: event, name="work")
    pipeline.queue(queue.Queue(10), "q")
    stage(1)
    assert looks(monitor, clock, 7200, 60) == {"work": "healthy"}
    report = monitor.report()
    assert (report.state, report.live, report.ready) == ("healthy", "pass", "pass")


def test_a_full_queue_overloads_the_stage_behind_it(pipeline, monitor, clock) -> None:
    """Overload is told with value and limit, fails readiness and never liveness."""
    jobs = pipeline.queue(queue.Queue(10), "jobs")
    work = pipeline.stage(lambda event: event, name="work")

    def one() -> None:
        while not jobs.full():
            jobs.put("x")
        work(jobs.get())
        jobs.put("x")

    one()
    assert looks(monitor, clock, 30, between=one) == {"work": "healthy"}
    assert looks(monitor, clock, 5, between=one) == {"work": "overloaded"}
    report = monitor.report()
    assert (report.live, report.ready) == ("warn", "fail")
    shown = item(report, "stage:unit/work")
    assert shown.output == "overloaded: queue jobs is 100% full, the limit is 80%"
    assert (shown.value, report.pipelines["unit"].stages["work"].limit) == (1.0, 0.8)
    # Ten minutes of it: alive all the time, and ready again after the longest time.
    looks(monitor, clock, 600, between=one)
    report = monitor.report()
    assert (report.live, report.ready, report.state) == ("warn", "warn", "overloaded")


def test_a_pull_consumer_stays_ready(pipeline, clock) -> None:
    """A process that fetches for itself warns where a pushed-to one is not ready."""
    monitor = Monitor(Limits(ingress="pull"))
    pipeline.stage(lambda event: event, name="work")
    health.flag("a", "too much", level="overloaded", pipeline="unit", stage="work")
    assert looks(monitor, clock, 5) == {"work": "overloaded"}
    assert monitor.report().ready == "warn"


def test_a_victim_of_a_stage_further_down_is_not_blamed(
    pipeline, monitor, clock
) -> None:
    """A stage that itself waits for room is neither overloaded nor stalled."""
    first = pipeline.queue(queue.Queue(2), "first")
    second = pipeline.queue(queue.Queue(1), "second")
    read = pipeline.stage(lambda event: event, name="read")
    write = pipeline.stage(lambda event: event, name="write")
    for number in range(2):
        first.put(number)
    second.put("x")
    go = threading.Event()

    def relay() -> None:
        second.put(read(first.get()))
        go.set()

    thread = threading.Thread(target=relay)
    thread.start()
    while not second.not_full._waiters:
        pass
    write(second.queue[0])
    first.put("full again")
    assert looks(monitor, clock, 20)["read"] == "healthy"
    second.get()
    assert go.wait(5)
    thread.join()


def test_a_stall_is_seen_within_its_limit_and_three_looks(
    pipeline, monitor, clock, events
) -> None:
    """With work in flight and no progress liveness fails, after three looks."""
    stage = pipeline.stage(call_through, name="work")
    with hanging(stage):
        assert looks(monitor, clock, 60) == {"work": "healthy"}
        # One stuck call shows first.
        assert looks(monitor, clock, 5) == {"work": "degraded"}
        # Progress was seen last at the first look, 5 s after the call had begun.
        assert looks(monitor, clock, 15) == {"work": "stalled"}
        report = monitor.report()
        assert (report.live, report.ready) == ("fail", "fail")
        assert item(report, "stage:unit/work").output == (
            "stalled: no progress for 75 s with 1 in flight, 0 waiting, the limit is "
            "60 s"
        )
    assert looks(monitor, clock, 5) == {"work": "degraded"}
    assert looks(monitor, clock, 310) == {"work": "healthy"}
    told = [
        (one.stage, one.attributes[_names.STATE_BEFORE], one.attributes[_names.STATE])
        for one in events
        if one.name == _names.STATE_EVENT
    ]
    assert told == [
        ("work", "healthy", "degraded"),
        ("work", "degraded", "stalled"),
        ("work", "stalled", "degraded"),
        ("work", "degraded", "healthy"),
    ]


def test_some_stuck_workers_only_degrade(pipeline, monitor, clock) -> None:
    """Where others make progress a stuck call degrades, and fails no liveness."""
    stage = pipeline.stage(call_through, name="work")
    ready = (lambda: None, lambda _: None)
    with hanging(stage):
        found = looks(monitor, clock, 600, between=lambda: stage(ready))
        assert found == {"work": "degraded"}
        assert monitor.report().live == "warn"


def test_a_lease_lets_a_call_take_its_time(pipeline, monitor, clock) -> None:
    """Inside of a lease a long call is no stall; after it, it is one."""

    def body(event):
        with health.lease(300):
            call_through(event)

    stage = pipeline.stage(body, name="work")
    with hanging(stage):
        assert looks(monitor, clock, 295) == {"work": "healthy"}
        assert looks(monitor, clock, 20) == {"work": "stalled"}


def test_a_queue_that_nobody_fetches_from_stalls_the_pipeline(
    pipeline, monitor, clock
) -> None:
    """Events that wait where nobody fetches fail liveness, by the queue's name."""
    jobs = pipeline.queue(queue.Queue(100), "jobs")
    jobs.put("x")
    looks(monitor, clock, 80)
    report = monitor.report()
    assert report.live == "fail"
    assert item(report, "pipeline:unit").output == (
        "stalled: queue jobs holds 1 events and none was fetched for 75 s, the limit "
        "is 60 s"
    )


def test_failures_degrade_with_their_share(pipeline, monitor, clock) -> None:
    """Five of a hundred calls failing for half a minute degrade a stage."""

    @pipeline.stage
    def work(event):
        if event % 10 == 0:
            raise ValueError(event)

    def some() -> None:
        for number in range(20):
            with suppress(ValueError):
                work(number)

    assert looks(monitor, clock, 30, between=some) == {"work": "healthy"}
    assert looks(monitor, clock, 5, between=some) == {"work": "degraded"}
    stage = monitor.report().pipelines["unit"].stages["work"]
    assert stage.reason == "10.0% of the calls fail, the limit is 5.0%"


def test_every_stage_has_one_state_in_the_metric(pipeline, monitor, clock) -> None:
    """The status metric is 1 for the state and 0 for every other."""
    pipeline.stage(lambda event: event, name="work")
    looks(monitor, clock, 5)
    _sinks.STATUS.append(monitor.statuses)
    try:
        numbers = Look(object()).numbers(_names.STAGE_STATUS)
        found = {attributes[_names.STATE]: value for value, attributes in numbers}
    finally:
        _sinks.STATUS.remove(monitor.statuses)
    assert found == {state: int(state == "healthy") for state in _names.STATES}


def test_the_pipeline_and_process_are_as_bad_as_their_worst_stage(
    pipeline, monitor, clock
) -> None:
    """The worst stage is named in the reason of what it belongs to."""
    for name in ("a", "b"):
        pipeline.stage(lambda event: event, name=name)
    health.flag("x", "slow disk", pipeline="unit", stage="b")
    looks(monitor, clock, 5)
    report = monitor.report()
    assert report.pipelines["unit"].reason == "b: slow disk"
    assert (report.state, report.reason) == ("degraded", "b: slow disk")
    health.unflag("x")
    assert looks(monitor, clock, 320) == {"a": "healthy", "b": "healthy"}


def test_start_up_waits_for_a_pipeline_and_for_the_program(
    monitor, clock, pipeline
) -> None:
    """It is starting until there is a pipeline, and while the program holds it."""
    monitor.life.held = True
    pipeline.stage(lambda event: event, name="work")
    report = monitor.tick()
    assert (report.startup, report.ready, report.live) == ("fail", "fail", "pass")
    assert report.state == "starting"
    monitor.life.held = False
    report = monitor.tick()
    assert (report.startup, report.ready, report.state) == ("pass", "pass", "healthy")


def test_draining_is_not_ready_and_alive(pipeline, monitor, clock) -> None:
    """A process that drains says so to readiness first."""
    pipeline.stage(lambda event: event, name="work")
    looks(monitor, clock, 5)
    monitor.life.draining = True
    report = monitor.tick()
    assert (report.live, report.ready, report.state) == ("pass", "fail", "stopping")


def test_its_thread_looks_and_ends(pipeline) -> None:
    """Started twice and stopped twice it leaves no thread, and no hook behind."""
    pipeline.stage(lambda event: event, name="work")
    monitor = Monitor()
    with ExitStack() as stack:
        for _ in range(2):
            monitor.start()
            stack.callback(monitor.stop)
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("stagelight-monitor") == 1
    names = [thread.name for thread in threading.enumerate()]
    assert "stagelight-monitor" not in names
    assert monitor.statuses not in _sinks.STATUS


def test_a_pipeline_that_is_gone_is_forgotten(pipeline, monitor, clock) -> None:
    """What tests or reloads remove from the registry leaves the verdict as well."""
    from stagelight._registry import REGISTRY

    pipeline.stage(lambda event: event, name="work")
    looks(monitor, clock, 5)
    REGISTRY.pipelines.clear()
    assert monitor.tick().pipelines == {}


@pytest.mark.parametrize("bad", ["healthy", "", None])
def test_a_flag_of_another_level_is_refused(bad) -> None:
    """There are two levels."""
    with pytest.raises(ValueError, match="'degraded' or 'overloaded'"):
        health.flag("x", "why", level=bad)
