"""The engine over a real pipeline, and its deliveries."""

from __future__ import annotations

import http.server
import json
import queue
import threading
import time
from contextlib import contextmanager

import pytest

import stagelight
from stagelight import _guard, _names, alerts, testing
from stagelight.alerts._delivery import Outbox
from stagelight.alerts._engine import Engine
from stagelight.alerts._settings import read
from stagelight.health._flags import FLAGS

LINE = "critical Deep: queue.size > 3 keep 1s on jobs"


def until(condition, seconds=60.0):
    """Wait for a condition, and return what it gives."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it never came true")


@pytest.fixture
def pipeline():
    """A pipeline of its own."""
    return stagelight.Pipeline(f"alerts-{time.monotonic_ns()}")


@contextmanager
def receiver(*, answers=(200,), until=None):
    """An HTTP server that keeps what it is sent; it may answer after an event only."""
    bodies, left = [], list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if until is not None:
                until.wait(60)
            status = left.pop(0) if len(left) > 1 else left[0]
            if status == 200:
                bodies.append((self.path, json.loads(body)))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fill(pipeline):
    """A queue with five jobs, and the stage that takes from it."""
    jobs = pipeline.queue(queue.Queue(10), "jobs")

    @pipeline.stage(name="work")
    def work(event):
        return event

    jobs.put(0)
    work(jobs.get())  # so that it is known who takes from it
    for number in range(5):
        jobs.put(number)
    return jobs


def test_an_alert_is_told_everywhere_and_resolves(pipeline, caplog):
    """Log event, metric, logger, webhook, Slack and callback hear of one alert."""
    heard = []
    jobs = fill(pipeline)
    with testing.capture() as telemetry, receiver() as (address, bodies):
        setting = {"rules": [LINE], "interval": 0.2}
        setting |= {"webhook": f"{address}/hook", "slack": f"{address}/slack"}
        alerts.start(setting, targets=[alerts.Callback(heard.append)])
        try:
            until(lambda: len(bodies) >= 2 and heard)
            (found,) = alerts.firing()
            assert (found.name, found.stage, found.queue) == ("Deep", "work", "jobs")
            assert (found.value, found.limit) == (5.0, 3.0)
            assert found.summary.endswith("before stage work")
            (point,) = telemetry.points(_names.ALERT_STATUS.name)
            assert point["value"] == 1
            (flag,) = FLAGS._flags.values()
            assert (flag.level, flag.stage) == ("degraded", "work")
            while not jobs.empty():
                jobs.get()
            until(lambda: len(bodies) >= 4 and len(heard) == 2)
        finally:
            alerts.stop()
        events = [
            log for log in telemetry.logs() if log["event_name"] == _names.ALERT_EVENT
        ]
    assert [one.state for one in heard] == ["firing", "resolved"]
    assert not FLAGS._flags
    hooks = [body for path, body in bodies if path == "/hook"]
    assert [one["alerts"][0]["state"] for one in hooks] == ["firing", "resolved"]
    slack = [body for path, body in bodies if path == "/slack"]
    assert slack[0]["text"].startswith("critical: jobs: ")
    assert slack[1]["attachments"][0]["color"] == "good"
    assert [log["severity"] for log in events] == ["ERROR", "INFO"]
    told = [
        one.getMessage() for one in caplog.records if one.name == "stagelight.alerts"
    ]
    assert told[0].startswith("critical: jobs: ")


def test_a_failing_target_gets_it_later():
    """An answer of 503 is tried again; one of 400 is given up and counted."""
    notice = _notice()
    before = _guard.LOST.get("alerts", 0)
    with receiver(answers=(503, 200)) as (address, bodies):
        outbox = Outbox(alerts.Webhook(address))
        outbox.put([notice])
        until(lambda: outbox.sent == 1)
        outbox.close(2)
    assert len(bodies) == 1
    with receiver(answers=(400,)) as (address, _):
        outbox = Outbox(alerts.Webhook(address))
        outbox.put([notice])
        until(lambda: outbox.lost == 1)
        outbox.close(2)
    assert _guard.LOST.pop("alerts") == before + 1


def test_a_hanging_target_holds_up_nobody():
    """Putting takes no time, and what finds no room is counted as lost."""
    answering = threading.Event()
    with receiver(until=answering) as (address, _):
        outbox = Outbox(alerts.Webhook(address), room=3)
        for _ in range(10):
            outbox.put([_notice()])
        # Nothing has been answered so far: all puts have returned nevertheless.
        assert outbox.sent == 0
        assert outbox.lost >= 6
        outbox.close(0.1)
        answering.set()
        until(lambda: not outbox._thread.is_alive())
    _guard.LOST.pop("alerts", None)


def test_the_stuck_workers_stack_is_in_the_log_event(pipeline):
    """The message of a stuck worker says where it hangs."""
    inside, release = threading.Event(), threading.Event()

    @pipeline.stage
    def hang(event):
        inside.set()
        hidden_place(release)

    thread = threading.Thread(target=hang, args=(1,), daemon=True)
    thread.start()
    line = "StageWorkerStuck: stage.inflight.age > 50ms"
    rule = alerts.user_rule(line)
    from dataclasses import replace

    engine = Engine([replace(rule, cause="stuck worker")], log=None)
    assert inside.wait(60)
    time.sleep(0.1)

    def told():
        engine.tick()
        return [one for one in engine._told.values() if one[1].stage == "hang"]

    found = until(told)
    release.set()
    thread.join()
    assert "hidden_place" in found[0][1].stack


def hidden_place(release):
    """Where the test's worker hangs."""
    release.wait(60)


def test_the_root_cause_is_told_and_its_victims_are_not(pipeline):
    """Of two full queues in a row only the last is told, the other as its victim."""
    first = pipeline.queue(queue.Queue(10), "first")
    second = pipeline.queue(queue.Queue(10), "second")

    @pipeline.stage(name="one")
    def one(event):
        second.put(event)

    @pipeline.stage(name="two")
    def two(event):
        return event

    first.put(0)
    one(first.get())
    two(second.get())
    for number in range(5):
        first.put(number)
        second.put(number)
    from dataclasses import replace

    rule = replace(
        alerts.user_rule("Full: queue.size > 3 on first, second"), cause="backlog"
    )
    engine = Engine([rule], log=None)
    (told,) = engine.tick()
    assert (told.queue, told.stage, told.victims) == (
        "second",
        "two",
        ["Full of first"],
    )
    assert {found.queue for found in engine.firing()} == {"first", "second"}


def test_cost_of_fifty_stages(pipeline):
    """Fifty stages and all rules take less than half a percent of a core at 5 s."""
    for number in range(50):
        jobs = pipeline.queue(queue.Queue(100), f"q{number}")
        stage = pipeline.stage(lambda event: event, name=f"s{number}")
        jobs.put(1)
        stage(jobs.get())
    now = [1_000_000.0]
    setting = read(None)
    engine = Engine(setting.rules, log=None, clock=lambda: now[0])
    for _ in range(20):
        now[0] += 5
        engine.tick()
    took = []
    for _ in range(3):
        begun = time.thread_time()
        for _ in range(50):
            now[0] += 5
            engine.tick()
        took.append((time.thread_time() - begun) / 50)
    assert min(took) / 5 < 0.005, took


def _notice():
    """Some notice that fires."""
    engine = Engine([alerts.user_rule("process.uptime >= 0")], log=None)
    (found,) = engine.tick()
    return found


def test_no_thread_no_alerts(pipeline, monkeypatch):
    """Where no thread can be started the program goes on, and it is counted."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    from stagelight._registry import REGISTRY

    monkeypatch.setattr(REGISTRY, "pipelines", {})
    alerts.start({"rules": [LINE]})
    try:
        with monkeypatch.context() as context:
            context.setattr(threading.Thread, "start", refuse)
            fill(stagelight.Pipeline("threadless"))
            outbox = Outbox(alerts.Callback(print))
            outbox.put([_notice()])
            outbox.close(0.1)
    finally:
        alerts.stop()
    assert _guard.ERRORS.pop("alerts") == 2
