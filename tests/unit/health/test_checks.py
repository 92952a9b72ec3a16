from __future__ import annotations

import asyncio
import re
import threading
import time

import pytest

import stagelight
from stagelight import health
from stagelight.health import _heartbeats
from stagelight.health._checks import CHECKS
from stagelight.health._monitor import Monitor


def settle(name, seconds=5.0):
    """The first answer of a check."""
    CHECKS.start_due()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        result = next(one for one in CHECKS.results() if one.name == name)
        if result.output != "not answered yet":
            return result
        time.sleep(0.005)
    raise AssertionError(f"{name} did not answer")


def answer(name):
    """Status and output of a check's first answer."""
    result = settle(name)
    return result.status, result.output


def test_what_a_check_may_say() -> None:
    """None and True pass, Warn warns, everything else fails with what was said."""

    @health.check
    def fine():
        pass

    @health.check("true")
    def true_():
        return True

    @health.check(name="slow disk")
    def warns():
        raise health.Warn("81% full")

    @health.check("no")
    def no():
        return False

    @health.check("text")
    def text():
        return "replica is 40 s behind"

    @health.check("raises")
    def raises():
        raise ConnectionError("refused")

    @health.check("leaves")
    def leaves():
        raise SystemExit

    assert answer("fine") == ("pass", "")
    assert answer("true") == ("pass", "")
    assert answer("slow disk") == ("warn", "81% full")
    assert answer("no") == ("fail", "")
    assert answer("text") == ("fail", "replica is 40 s behind")
    assert answer("raises") == ("fail", "ConnectionError: refused")
    assert answer("leaves") == ("fail", "SystemExit")


def test_a_coroutine_function_is_awaited() -> None:
    """An asynchronous check runs in a loop of its own, with its timeout."""

    @health.check("quick")
    async def quick():
        await asyncio.sleep(0)

    @health.check("never", timeout=0.05)
    async def never():
        await asyncio.sleep(60)

    assert answer("quick") == ("pass", "")
    assert answer("never")[0] == "fail"


def test_a_hanging_check_fails_and_holds_nobody_up() -> None:
    """It keeps one thread, is not started again, and is told to have no answer."""
    go = threading.Event()
    health.check("hangs", timeout=0.05, every=0.01)(lambda: go.wait(60) and None)
    try:
        for _ in range(20):
            CHECKS.start_due()
            time.sleep(0.01)
        (result,) = CHECKS.results()
        assert not go.is_set()  # it hangs still
        assert result.status == "fail"
        assert re.match(r"no answer for \d+\.\d s, the limit is", result.output)
        running = [
            thread
            for thread in threading.enumerate()
            if thread.name == "stagelight-check-hangs"
        ]
        assert len(running) == 1
    finally:
        go.set()
        running[0].join()


def test_a_late_answer_fails() -> None:
    """A check that passes too late has failed, and says how late it was."""
    health.check("late", timeout=0.01)(lambda: time.sleep(0.05))
    settle("late")
    while (result := CHECKS.results()[0]).output.startswith("no answer"):
        time.sleep(0.005)
    assert result.status == "fail"
    assert re.match(r"answered after \d+\.\d s, the limit is", result.output)


def test_it_is_asked_again_after_a_while(clock) -> None:
    """A check is run again when it is due, not at every look."""
    asked = []
    health.check("count", every=10)(lambda: asked.append(1))
    settle("count")
    CHECKS.start_due()
    clock.advance(11)
    CHECKS.start_due()
    while len(asked) < 2:
        time.sleep(0.005)
    assert len(asked) == 2


def test_each_check_counts_for_its_probes(pipeline, monitor) -> None:
    """A check of a dependency fails readiness alone, one for start-up holds that."""
    pipeline.stage(lambda event: event, name="work")
    health.check("database", probes=["ready"])(lambda: "gone")
    go = threading.Event()
    health.check("cache warm", probes="startup")(lambda: go.wait(5) and None)
    report = monitor.tick()
    assert (report.startup, report.live) == ("fail", "pass")
    go.set()
    settle("database")
    settle("cache warm")
    report = monitor.tick()
    assert (report.startup, report.live, report.ready) == ("pass", "pass", "fail")
    health.remove_check("database")
    assert monitor.tick().ready == "pass"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "a/b"}, "has a / or a :"),
        ({"name": ""}, "needs a name"),
        ({"probes": ["alive"]}, "takes some of 'live', 'ready', 'startup'"),
        ({"probes": []}, "takes some of"),
        ({"timeout": 0}, "more than 0 seconds"),
        ({"every": "often"}, "takes seconds"),
    ],
)
def test_a_check_that_cannot_be_right_is_refused(arguments, words) -> None:
    """At registration, with the argument and what it takes."""
    with pytest.raises(stagelight.ConfigurationError, match=words):
        health.check(**{"name": "x", **arguments})(lambda: None)


def test_what_cannot_be_called_is_no_check() -> None:
    """Something that is not callable is refused."""
    with pytest.raises(stagelight.ConfigurationError, match="is not callable"):
        health.check(name="x")(3)


def test_a_missed_heartbeat_fails_liveness(clock, monitor, pipeline) -> None:
    """A loop is late first, then dead; closed, it is not expected any more."""
    pipeline.stage(lambda event: event, name="work")
    with health.heartbeat("poll", limit=60) as beat:
        clock.advance(14)
        assert monitor.tick().live == "pass"
        clock.advance(10)
        assert monitor.tick().live == "warn"
        clock.advance(40)
        report = monitor.tick()
        assert (report.live, report.state) == ("fail", "stalled")
        assert report.reason == (
            "loop poll is dead: no beat for 64.0 s, the limit is 60 s"
        )
        beat()
        assert monitor.tick().live == "pass"
    clock.advance(600)
    assert monitor.tick().live == "pass"


def test_a_blocked_event_loop_shows(pipeline) -> None:
    """A loop that is watched beats by itself, and says so while it is blocked."""
    monitor = Monitor()
    pipeline.stage(lambda event: event, name="work")

    async def main():
        beat = health.watch_loop(name="main loop", limit=0.4)
        await next_beat(beat)
        time.sleep(0.5)  # noqa: ASYNC251 - this is what is to be seen
        dead = monitor.tick()
        await next_beat(beat)
        return dead, monitor.tick()

    async def next_beat(beat):
        last = beat._last
        while beat._last == last:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)

    dead, alive = asyncio.run(main())
    assert (dead.live, alive.live) == ("fail", "pass")
    assert dead.reason.startswith("event loop main loop is dead")


def test_heartbeats_that_cannot_be_right_are_refused() -> None:
    """A limit has to be positive."""
    with pytest.raises(stagelight.ConfigurationError, match="limit=0"):
        health.heartbeat("x", limit=0)
    assert _heartbeats.HEARTBEATS == {}
