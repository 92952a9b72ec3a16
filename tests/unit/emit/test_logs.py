from __future__ import annotations

import asyncio
import io
import json
import logging
import queue
import sys
import threading
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

import stagelight
from stagelight import _guard, _logs, _names, _sinks, testing
from stagelight._deferred import RESCUERS
from stagelight._distribution import NEVER
from stagelight._tracer import TRACER

if TYPE_CHECKING:
    from collections.abc import Iterator

EPOCH_2026 = 1_767_225_600


class OwnError(Exception):
    """An error of the application's."""


class Order:
    """An event with an identifier of its own."""

    def __init__(self, identifier):
        self.id = identifier
        self.secret = "card 4111"


@pytest.fixture
def load(pipeline):
    """A stage that fails for odd identifiers."""

    @pipeline.stage
    def load(event):
        if event.id % 2:
            raise OwnError(f"no room for {event.id}")
        return event

    return load


def call(stage, *events):
    """Call a stage, whatever it raises."""
    for event in events:
        try:
            stage(event)
        except (OwnError, ValueError):
            continue


@pytest.fixture
def lines(monkeypatch):
    """The JSON lines, as a handler of the program's own gets them."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    before = (_logs.LINES.handlers[:], _logs.LINES.level, _logs.LINES.propagate)
    monkeypatch.setattr(_logs.LINES, "handlers", [handler])
    monkeypatch.setattr(_logs.EMITTER, "json_lines", False)
    _logs.EMITTER.begin_anew()
    _logs.write_json_lines()
    yield lambda: [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]
    _logs.LINES.handlers, _, _logs.LINES.propagate = before
    _logs.LINES.setLevel(before[1])


def test_every_failed_event_has_one_record(load):
    """No failure is suppressed, however many there are and however alike."""
    with testing.capture() as telemetry:
        call(load, *map(Order, range(200)))
        logs = telemetry.logs(_names.EXCEPTION_EVENT)
    identifiers = [log["attributes"][_names.EVENT_ID] for log in logs]
    assert identifiers == [str(number) for number in range(1, 200, 2)]


def test_a_record_is_whole(load):
    """Body, severity, event id, attempt, exception, and the ids of the failed span."""
    with testing.capture() as telemetry:
        call(load, Order(7))
        (log,) = telemetry.logs()
        (span,) = telemetry.spans("process load")
    attributes = log.pop("attributes")
    kind = f"{OwnError.__module__}.OwnError"
    assert log == {
        "event_name": _names.EXCEPTION_EVENT,
        "severity": "ERROR",
        "body": f"stage load failed event 7: {kind}",
        "trace_id": span["trace_id"],
        "span_id": span["span_id"],
    }
    trace = attributes.pop("exception.stacktrace")
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith("OwnError: no room for 7\n")
    assert 0 < attributes.pop("stagelight.duration") < 1
    assert attributes == {
        _names.PIPELINE: "unit",
        _names.STAGE: "load",
        _names.EVENT_ID: "7",
        _names.OUTCOME: "failure",
        _names.ERROR_TYPE: kind,
        _names.ATTEMPT: 1,
        "exception.type": kind,
        "exception.message": "no room for 7",
    }
    assert span["attributes"][_names.ERROR_TYPE] == kind


@pytest.fixture
def unsampled() -> Iterator[testing.Captured]:
    """What is emitted while no journey is in the sample at its head."""
    before = RESCUERS[:]
    with testing.capture() as telemetry:
        TRACER.configure(telemetry.tracer_provider, 1.0)
        TRACER.due = TRACER.budget.due = NEVER
        yield telemetry
    RESCUERS[:] = before


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize("name", ["plain", "coroutine", "generator", "asynchronous"])
def test_outside_of_the_sample_records_are_as_whole(pipeline, unsampled, name, drop):
    """A record names event, queue and trace as well where nothing was sampled."""
    function = globals()[name]
    stage = pipeline.stage(function)
    fetched = pipeline.queue(queue.Queue(), "fetched")
    feed = pipeline.stage(fetched.put, name="feed")
    pipeline.stage(lambda event: event, name="warm")(0)  # light calls come later
    for number in (1, 2):
        # Each journey begins in a thread of its own.
        event = {"id": number, "drop": drop}
        thread = threading.Thread(target=feed, args=(event,))
        thread.start()
        thread.join()
        with suppress(OwnError):
            RUNS[function](stage(fetched.get()))
    logs = unsampled.logs()
    assert [log["attributes"][_names.EVENT_ID] for log in logs] == (
        ["1"] if drop else ["1", "2"]  # of equal drops only the first is told
    )
    for log in logs:
        assert log["attributes"][_names.QUEUE] == "fetched"
        assert int(log["trace_id"], 16) != 0 != int(log["span_id"], 16)
    assert len({log["trace_id"] for log in logs}) == len(logs)
    # A failed journey is exported after all, with the ids that its record names.
    rescued = [span["span_id"] for span in unsampled.spans(f"process {name}")]
    assert rescued == ([] if drop else [log["span_id"] for log in logs])


def test_an_event_is_never_written(load, lines):
    """Only identifiers leave, never what an event holds."""
    with testing.capture() as telemetry:
        call(load, Order(1))
        assert "4111" not in str(telemetry.logs()) + str(telemetry.spans())
    assert "4111" not in str(lines())


def test_json_lines(load, lines):
    """The same record as one line of JSON, with UTC time and trace ids."""
    with testing.capture() as telemetry:
        call(load, Order(1), Order(3))
        logs = telemetry.logs()
    written = lines()
    assert len(written) == 2
    for line, log in zip(written, logs, strict=True):
        moment = datetime.fromisoformat(line.pop("timestamp").replace("Z", "+00:00"))
        assert moment.timestamp() > EPOCH_2026
        assert line == log


def test_json_lines_need_no_provider(load, lines):
    """They are written where nothing is exported, then without ids of a trace."""
    call(load, Order(1))
    (line,) = lines()
    assert "trace_id" not in line
    assert line["attributes"][_names.EVENT_ID] == "1"


def test_json_lines_hold_one_line_each(pipeline, lines):
    """Line ends and odd characters in messages stay within their line."""

    @pipeline.stage
    def odd(event):
        raise ValueError('two\nlines \u2028 \u00e9 "quoted"')

    call(odd, 1)
    (line,) = lines()
    assert line["attributes"]["exception.message"] == (
        'two\nlines \u2028 \u00e9 "quoted"'
    )


def test_json_lines_go_to_stderr(load, monkeypatch, capsys):
    """Without a handler of the program's own they are bare lines on stderr."""
    monkeypatch.setattr(_logs.LINES, "handlers", [])
    monkeypatch.setattr(_logs.LINES, "propagate", True)
    monkeypatch.setattr(_logs.EMITTER, "json_lines", False)
    _logs.write_json_lines()
    _logs.write_json_lines()  # asked twice, written once
    monkeypatch.setattr(_logs.LINES.handlers[0], "stream", sys.stderr)
    call(load, Order(5))
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert json.loads(line)["attributes"][_names.EVENT_ID] == "5"


def test_drops_are_told_once_and_counted(pipeline, monkeypatch, lines):
    """Equal notices within ten seconds are one, which later says how many it was."""
    now = [EPOCH_2026 * 10**9]
    monkeypatch.setattr("stagelight._announce.time_ns", lambda: now[0])

    @pipeline.stage
    def sieve(event):
        stagelight.drop("filtered", intentional=event % 2 == 0)

    for seconds in (0, 0, 4, 9.9, 10, 12, 25):
        now[0] = EPOCH_2026 * 10**9 + round(seconds * 1e9)
        sieve(0)
    told = [
        (line["timestamp"], line["severity"], line["attributes"].get(_logs.SUPPRESSED))
        for line in lines()
    ]
    assert told == [
        ("2026-01-01T00:00:00.000000Z", "DEBUG", None),
        ("2026-01-01T00:00:10.000000Z", "DEBUG", 3),
        ("2026-01-01T00:00:25.000000Z", "DEBUG", 1),
    ]
    stage = pipeline.stats()["stages"]["sieve"]
    assert stage["dropped"] == {"filtered": 7}


def test_a_loss_is_an_error_and_a_filter_is_not(pipeline, lines):
    """The severity of a drop says whether it was meant."""

    @pipeline.stage
    def lose(event):
        stagelight.drop("expired", intentional=False)

    with testing.capture() as telemetry:
        lose({"id": 4})
        (log,) = telemetry.logs()
    (line,) = lines()
    for one in (log, line):
        assert one["severity"] == "ERROR"
        assert one["body"] == "stage lose: dropped event 4"
        assert one["attributes"][_names.DROP_REASON] == "expired"


def plain(event):
    """A function as a stage."""
    end(event)


async def coroutine(event):
    """A coroutine function as a stage."""
    await asyncio.sleep(0)
    end(event)


def generator(event):
    """A generator as a stage."""
    yield event
    end(event)
    yield event


async def asynchronous(event):
    """An asynchronous generator as a stage."""
    yield event
    end(event)
    yield event


def end(event):
    """Drop an event or fail with it."""
    if event["drop"]:
        stagelight.drop("odd")
    else:
        raise OwnError("no")


async def drain(items):
    """Take all that an asynchronous generator gives."""
    async for _ in items:
        pass


RUNS = {
    plain: lambda made: made,
    coroutine: asyncio.run,
    generator: list,
    asynchronous: lambda items: asyncio.run(drain(items)),
}


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize("function", RUNS)
def test_every_kind_of_stage_tells_of_its_event(pipeline, function, drop):
    """The record has the event's id, its queue, and the ids of the stage's span."""
    stage = pipeline.stage(function)
    fetched = pipeline.queue(queue.Queue(), "fetched")
    with testing.capture() as telemetry:
        fetched.put({"id": 7, "drop": drop})
        with suppress(OwnError):
            RUNS[function](stage(fetched.get()))
        (log,) = telemetry.logs()
        (span,) = telemetry.spans(f"process {function.__name__}")
    attributes = log["attributes"]
    assert log["event_name"] == (
        _names.DROPPED_EVENT if drop else _names.EXCEPTION_EVENT
    )
    assert (log["trace_id"], log["span_id"]) == (span["trace_id"], span["span_id"])
    assert attributes[_names.STAGE] == function.__name__
    assert attributes[_names.EVENT_ID] == "7"
    assert attributes[_names.QUEUE] == "fetched"
    assert attributes[_names.OUTCOME] == ("dropped" if drop else "failure")


@pytest.mark.parametrize("function", [generator, asynchronous])
def test_each_item_of_a_source_has_its_own_trace(pipeline, function):
    """A source that fails tells so in the trace of the item that it was about."""
    stage = pipeline.stage(function)
    with testing.capture() as telemetry:
        with suppress(OwnError):
            RUNS[function](stage({"id": 7, "drop": False}))
        (log,) = telemetry.logs()
        (_, span) = telemetry.spans(f"process {function.__name__}")
    assert (log["trace_id"], log["span_id"]) == (span["trace_id"], span["span_id"])


def test_a_drop_that_then_fails_is_one_failure(pipeline, lines):
    """What was dropped and raised after all is counted and told as a failure only."""

    @pipeline.stage
    def both(event):
        stagelight.drop("odd")
        raise OwnError("worse")

    call(both, {"id": 1})
    assert [line["event_name"] for line in lines()] == [_names.EXCEPTION_EVENT]
    stage = pipeline.stats()["stages"]["both"]
    assert (stage["dropped"], stage["outcomes"]) == ({}, {"failure": 1})


def test_what_utf8_cannot_hold_is_escaped(load, pipeline, lines):
    """An undecodable file name as identifier or message is told, in escaped form."""

    @pipeline.stage
    def read(event):
        raise OwnError(f"cannot read {event['id']}")

    with testing.capture() as telemetry:
        call(read, {"id": "caf\udce9.txt"}, {"id": "caf\u00e9.txt"})
        logs, spans = telemetry.logs(), telemetry.spans("process read")
    escaped, plain = "caf\\udce9.txt", "caf\u00e9.txt"
    for found in (logs, lines(), spans):
        identifiers = [one["attributes"][_names.EVENT_ID] for one in found]
        assert identifiers == [escaped, plain]
        str(found).encode("utf-8")
    assert [one["attributes"]["exception.message"] for one in logs] == [
        f"cannot read {escaped}",
        f"cannot read {plain}",
    ]


def test_a_cancelled_call_is_no_failure(pipeline, lines):
    """Who is told to stop has not failed."""

    @pipeline.stage
    def stop(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop(1)
    assert lines() == []


def test_an_error_that_does_not_print(pipeline, lines):
    """An exception whose text cannot be made is reported without it."""

    class MuteError(ValueError):
        def __str__(self):
            raise RuntimeError("no text")

    @pipeline.stage
    def mute(event):
        raise MuteError

    call(mute, 1)
    (line,) = lines()
    assert line["attributes"]["exception.message"] == ""
    assert line["attributes"]["exception.type"].endswith("MuteError")


@pytest.mark.usefixtures("lenient")
def test_a_handler_that_fails_breaks_nothing(load, lines, caplog):
    """A broken sink is counted; the stage's own error arrives, and other sinks hear."""
    heard = []

    def broken(_):
        raise RuntimeError("sink")

    _sinks.EVENTS.insert(0, broken)
    _sinks.EVENTS.append(heard.append)
    try:
        with pytest.raises(OwnError):
            load(Order(1))
    finally:
        _sinks.EVENTS.remove(broken)
        _sinks.EVENTS.remove(heard.append)
    assert len(heard) == len(lines()) == 1
    assert _guard.ERRORS == {"event sink": 1}


def test_a_handler_that_is_observed_does_not_loop(pipeline, lines, monkeypatch):
    """A logging handler that fails in an observed stage is not asked about that."""
    calls = []

    @pipeline.stage
    def ship(event):
        calls.append(event)
        raise ValueError("the network is down")

    class Shipping(logging.Handler):
        def emit(self, record):
            with pytest.raises(ValueError, match="network"):
                ship(record.getMessage())

    monkeypatch.setitem(_guard.LOST, "logs", 0)
    monkeypatch.setattr(_logs.LINES, "handlers", [Shipping()])

    @pipeline.stage
    def work(event):
        raise ValueError("first")

    call(work, 1)
    assert len(calls) == 1
    assert _guard.LOST["logs"] == 1
