from __future__ import annotations

from dataclasses import replace

from stagelight._bottleneck import find_bottleneck
from stagelight._model import Bottleneck, Quantiles, QueueStats, Rates, StageStats

NOTHING = Quantiles(0, None, None, None, None, None)


def stage(  # noqa: PLR0913
    name, busy, *, idle=0.0, blocked=0.0, inputs=(), outputs=(), inner=()
):
    """A stage with the given worker seconds."""
    return StageStats(
        name=name,
        count=1,
        outcomes={},
        errors={},
        error_rate=0.0,
        produced=1,
        dropped={},
        retries=0,
        active=0,
        oldest_active=0.0,
        rates=Rates(0.0, 0.0, 0.0),
        duration=NOTHING,
        workers={},
        worker_seconds={"busy": busy, "idle": idle, "blocked": blocked},
        inputs=list(inputs),
        outputs=list(outputs),
        inner=list(inner),
        utilization=busy / (busy + idle + blocked) if busy else None,
    )


def queue(name, put_blocked=0.0, *, waited=(0, None), size=0, age=0.0):
    """A queue whose producers waited for room, or whose events waited for a stage."""
    wait = Quantiles(waited[0], waited[1], None, None, None, None)
    return QueueStats(name, size, 10, 10, 1, 1, {}, wait, age, put_blocked)


def find(stages, queues=(), passes=None, uptime=10.0, computed=0.0):
    """The bottleneck of these stages and queues."""
    return find_bottleneck(
        {one.name: one for one in stages},
        {one.name: one for one in queues},
        passes or {},
        uptime,
        computed,
    )


def test_nothing_ran():
    """Without work there is no bottleneck."""
    assert find([]) is None
    assert find([stage("a", 0.0, idle=9.0)]) is None


def test_without_full_queues_the_busiest_stage_is_it():
    """Where nobody waited for room the source is the limit, as its workers show."""
    found = find([stage("read", 9.0, idle=1.0), stage("load", 2.0, idle=8.0)])
    assert found == Bottleneck(
        "read", 0.9, "its workers were busy 9.00 s, idle 1.00 s, blocked 0.00 s"
    )


def test_the_stage_behind_the_full_queue_is_it():
    """A full queue names the stage behind it, whatever else looks busy."""
    read = stage("read", 4.0, blocked=6.0, outputs=["q"])
    load = stage("load", 9.0, idle=1.0, inputs=["q"])
    assert find([read, load], [queue("q", 6.0)]) == Bottleneck(
        "load", 0.9, "producers waited 6.00 s for room in its queue q"
    )


def test_a_stage_that_waits_more_than_it_works_passes_it_on():
    """Back-pressure is followed down to the stage that causes it."""
    parse = stage("parse", 1.0, blocked=9.0, inputs=["a"], outputs=["b"])
    load = stage("load", 9.0, idle=1.0, inputs=["b"])
    found = find([parse, load], [queue("a", 9.5), queue("b", 9.0)])
    assert found is not None
    assert (found.stage, found.utilization) == ("load", 0.9)


def test_events_are_followed_through_a_dispatcher():
    """A queue whose events are only passed on to a pool belongs to the pool's stage."""
    task = stage("pool", 0.1, idle=9.9, inputs=["pool"], inner=["enrich"])
    enrich = stage("enrich", 8.0, idle=2.0)
    found = find([task, enrich], [queue("q", 5.0)], {"pool": {"q"}})
    assert found == Bottleneck(
        "enrich", 0.8, "producers waited 5.00 s for room in its queue q"
    )


def test_work_outside_of_the_stage_is_pointed_at():
    """A stage that is hardly busy behind a full queue does its work elsewhere."""
    write = stage("write", 0.5, idle=9.5, inputs=["q"])
    found = find([write], [queue("q", 5.0)])
    assert found is not None
    assert found.evidence.endswith(
        "yet it is busy only 5% of its time: look at what its worker does outside of "
        "the stage"
    )


def test_short_waits_do_not_count():
    """Waits of less than a twentieth of the time are no full queue."""
    read = stage("read", 9.0, outputs=["q"])
    load = stage("load", 3.0, idle=7.0, inputs=["q"])
    found = find([read, load], [queue("q", 0.4)])
    assert found is not None
    assert found.stage == "read"
    assert find([replace(load)], [queue("q", 0.6)], uptime=10.0) == Bottleneck(
        "load",
        0.3,
        "producers waited 0.60 s for room in its queue q, yet it is busy only 30% of "
        "its time: look at what its worker does outside of the stage",
    )


def test_a_circle_of_dispatchers_ends():
    """Queues that pass events on to each other do not loop the search."""
    work = stage("work", 5.0, inputs=["a"])
    found = find([work], [queue("b", 5.0)], {"a": {"b"}, "b": {"a"}})
    assert found is not None
    assert found.stage == "work"


def test_events_that_wait_in_an_unbounded_queue_name_the_stage_behind_it():
    """Nobody is blocked by a queue without a bound; that events wait there tells."""
    fetch = stage("fetch", 0.2, idle=9.8, inputs=["urls"])
    parse = stage("parse", 0.4, idle=9.6)
    found = find([fetch, parse], [queue("urls", waited=(100, 0.5))])
    assert found == Bottleneck(
        "fetch", 0.02, "events waited 0.50 s on average in its queue urls"
    )


def test_events_that_nobody_has_fetched_yet_count_as_waiting():
    """A stage that hangs has fetched nothing for a while: its queue still tells."""
    work = stage("work", 5.0, idle=5.0, inputs=["q"])
    found = find([work], [queue("q", size=1_000, age=8.0)])
    assert found is not None
    assert found.evidence == (
        "events waited 0.00 s on average in its queue q, 1,000 still wait"
    )


def test_of_two_loaded_queues_the_busier_stage_is_it():
    """What came all at once waits longest in front, and need not be slow there."""
    first = stage("first", 4.0, idle=6.0, inputs=["a"])
    second = stage("second", 9.5, idle=0.5, inputs=["b"])
    queues = [queue("a", waited=(100, 3.0)), queue("b", waited=(100, 2.0))]
    found = find([first, second], queues)
    assert found is not None
    assert found.stage == "second"


def test_a_busy_source_goes_before_a_stage_with_some_events_waiting():
    """Some events wait before any stage; the one that is always busy is the limit."""
    read = stage("read", 9.8, idle=0.2)
    load = stage("load", 6.0, idle=4.0, inputs=["q"])
    found = find([read, load], [queue("q", waited=(100, 0.15))])
    assert found is not None
    assert found.stage == "read"


def test_threads_that_share_one_interpreter_name_the_stage_with_most_work():
    """Waiting for the interpreter looks busy everywhere; processor time tells."""
    read = stage("read", 9.8)
    parse = stage("parse", 15.0, idle=5.0)
    found = find([read, parse], computed=9.0)
    assert found == Bottleneck(
        "parse",
        0.75,
        "15.00 s of the 24.80 s that stages were busy, in 9.00 s of processor time: "
        "the threads wait for their turn in the one interpreter, so more processes "
        "help, more threads do not",
    )
    # One thread cannot wait for itself: other programs have the processor.
    found = find([read], computed=6.0)
    assert found is not None
    assert "interpreter" not in found.evidence
    # Stages that wait for the network are busy without any processor time.
    found = find([read, parse], computed=1.0)
    assert found is not None
    assert found.stage == "read"
