from __future__ import annotations

import asyncio
import json
import os
import pickle
import queue
import stat
import threading
from dataclasses import dataclass

import pytest

import stagelight
from stagelight import _failures, _guard, _sinks, testing
from stagelight._capture import Capture
from stagelight._failures import _sink, _tracebacks
from stagelight._failures._store import LARGE
from stagelight._redaction import HIDDEN
from stagelight._slots import ENTRY
from stagelight._tracer import TRACER
from stagelight._workers import this_worker


@dataclass
class Order:
    id: int
    secret: str = "s3cr3t-value"
    lines: tuple = ()


class Odd:
    """An event that JSON does not fit."""

    def __init__(self, n):
        self.n = n
        self.password = "s3cr3t-value"
        self.inner = threading.Lock()


class Reverse:
    """A codec of the user's."""

    def dumps(self, event):
        return json.dumps(event)[::-1].encode()

    def loads(self, data):
        return json.loads(data.decode()[::-1])


CODEC = Reverse()


def call(stage, *events):
    """Call a stage, whatever it raises."""
    for event in events:
        try:
            stage(event)
        except (ValueError, ZeroDivisionError, KeyError):
            continue


@pytest.fixture
def divide(pipeline):
    """A stage that fails for zero."""

    @pipeline.stage
    def divide(event):
        number = event["n"] if isinstance(event, dict) else getattr(event, "n", 0)
        return 1 / number

    return divide


def on_disk(folder):
    """Every byte of a store."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in files)


def test_off_by_default(divide, tmp_path, monkeypatch):
    """Nothing listens and nothing is written unless it is asked for."""
    monkeypatch.chdir(tmp_path)
    call(divide, {"n": 0})
    assert _failures.installed() is None
    assert _failures.groups_document() == {"groups": [], "kept": 0, "dropped": {}}
    assert list(tmp_path.iterdir()) == []


def test_all_that_is_known_of_a_failed_event(kept, divide):
    """Stage, attempt, exception, frames with their source, place, process."""
    kept.on()
    call(divide, {"id": "a1", "n": 0, "attempt": 2}, {"id": "a2", "n": 1})
    (found,) = kept.all()
    assert {key: found[key] for key in ("pipeline", "stage", "error_type")} == {
        "pipeline": "unit",
        "stage": "divide",
        "error_type": "ZeroDivisionError",
    }
    assert (found["event_id"], found["attempt"], found["outcome"]) == (
        "a1",
        2,
        "failure",
    )
    assert (found["message"], found["replayable"]) == ("division by zero", True)
    (exception,) = found["exception"]
    (frame,) = exception["frames"]
    assert (frame["function"], frame["source"]) == ("divide", "return 1 / number")
    assert "locals" not in frame
    assert found["place"]["module"] == __name__
    assert found["place"]["name"].endswith("divide.<locals>.divide")
    assert found["process"]["pid"] == os.getpid()
    assert found["process"]["stagelight"] == stagelight.__version__
    text = _tracebacks.rendered(found["exception"])
    assert text.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_causes_are_kept(kept, pipeline):
    """An exception's cause comes with it, and is told as Python tells it."""

    @pipeline.stage
    def parse(event):
        try:
            return {}["key"]
        except KeyError as error:
            raise ValueError("no key") from error

    kept.on()
    call(parse, 1)
    (found,) = kept.all()
    assert [one["type"] for one in found["exception"]] == ["ValueError", "KeyError"]
    text = _tracebacks.rendered(found["exception"])
    assert text.index("KeyError: 'key'") < text.index("direct cause")
    assert text.index("direct cause") < text.index("ValueError: no key")


def test_locals_only_when_asked_and_without_secrets(kept, divide):
    """Variables are shown as plain data; secrets of any depth are not."""
    kept.on(locals=True)
    call(divide, {"n": 0, "password": "s3cr3t-value"})
    (found,) = kept.all()
    variables = found["exception"][0]["frames"][-1]["locals"]
    assert variables == {"event": {"n": 0, "password": HIDDEN}, "number": 0}


def test_the_queue_and_the_wait(kept, pipeline, divide):
    """Where the event came from, how long it waited, and how long it is on its way."""
    kept.on()
    inbox = pipeline.queue(queue.Queue(), "inbox")
    inbox.put({"n": 0})
    call(divide, inbox.get())
    (found,) = kept.all()
    journey = found["journey"]
    assert journey["queue"] == "inbox"
    assert 0 < journey["wait"] <= journey["age"]


@pytest.mark.parametrize("sampled", [True, False])
def test_the_upstream_journey_and_the_trace(kept, pipeline, divide, sampled):
    """Stages before it with times and waits, and the ids that the spans have."""

    @pipeline.stage
    def load(event):
        return event

    @pipeline.stage
    def clean(event):
        return event

    kept.on()
    inbox = pipeline.queue(queue.Queue(), "inbox")
    with testing.capture() as telemetry:
        if not sampled:
            TRACER.configure(telemetry.tracer_provider, 0.001)
            for _ in range(3):
                load({"n": 1})
        inbox.put(load({"n": 0}))
        event = inbox.get()
        call(divide, clean(event))
    (found,) = kept.all()
    stages = found["journey"]["stages"]
    assert [one["stage"] for one in stages] == ["load", "clean"]
    assert all(one["duration"] > 0 for one in stages)
    assert stages[1]["wait"] > 0
    assert stages[0]["time"] < stages[1]["time"] < found["time"]
    (span,) = telemetry.spans("process divide")
    assert (found["trace_id"], found["span_id"]) == (span["trace_id"], span["span_id"])


def test_nested_stages_keep_an_event_once(kept, pipeline, divide):
    """The innermost stage has it; those around it only pass the exception on."""

    @pipeline.stage
    def outer(event):
        return divide(event)

    kept.on()
    call(outer, {"n": 0})
    assert [one["stage"] for one in kept.all()] == ["divide"]


def test_per_stage(kept, pipeline, divide):
    """Globs choose stages, and how their events are kept."""

    @pipeline.stage
    def parse(event):
        raise ValueError

    @pipeline.stage
    def price(event):
        raise ValueError

    kept.on(stages=("!parse",), codec={"div*": "pickle", "price": "none"})
    for stage in (parse, divide, price):
        call(stage, {"n": 0})
    assert [one["stage"] for one in kept.all()] == ["divide", "price"]
    pickled, described = kept.payloads()
    assert pickled.codec == "pickle"
    assert pickle.loads(pickled.data) == {"n": 0}
    assert described.codec == "repr"


def test_what_does_not_fit_is_described(kept, divide):
    """It is marked as not replayable, says why, and shows no secret."""
    kept.on()
    call(divide, Odd(0))
    (found,) = kept.all()
    assert found["replayable"] is False
    assert "does not fit JSON" in found["why"]
    (payload,) = kept.payloads()
    shown = json.loads(payload.data)
    assert (shown["n"], shown["password"]) == (0, HIDDEN)


def test_a_codec_of_the_users(kept, divide):
    """It is found again by its name; one that fails is no harm."""
    kept.on(codec=CODEC)
    call(divide, {"n": 0}, Odd(0))
    good, bad = kept.payloads()
    assert good.codec == f"codec {__name__}:CODEC"
    assert CODEC.loads(good.data) == {"n": 0}
    assert bad.codec == "repr"
    assert "TypeError" in bad.why


@pytest.mark.parametrize("codec", ["json", "pickle", CODEC, "none"])
def test_secrets_never_touch_the_disk(kept, divide, codec):
    """By key in any codec, in descriptions, messages and variables."""
    kept.on(codec=codec, locals=True, redact_keys=("^customer$",))

    def failing(event):
        secret = event["customer"]
        raise ValueError(f"password={secret}")

    stage = stagelight.Pipeline("unit").stage(failing, name="failing")
    event = {"n": 0, "password": "s3cr3t-value", "x": [{"customer": "s3cr3t-value"}]}
    call(divide, event, Odd(0), Order(1))
    call(stage, {"customer": "s3cr3t-value"})
    assert len(kept.all()) == 4
    assert b"s3cr3t-value" not in on_disk(kept.folder)
    assert event["password"] == "s3cr3t-value"


def test_redaction_by_a_callable(kept, divide):
    """What it returns is kept; where it fails, nothing of the event is."""

    def redact(event):
        return {**event, "name": "someone"}

    kept.on(redact=redact)
    call(divide, {"n": 0, "name": "s3cr3t-value"})
    call(divide, Odd(0))
    good, bad = kept.payloads()
    assert json.loads(good.data) == {"n": 0, "name": "someone"}
    assert (bad.codec, bad.data) == ("repr", b"")
    assert bad.why.startswith("redact() raised TypeError")
    assert b"s3cr3t-value" not in on_disk(kept.folder)


@pytest.mark.parametrize("codec", ["json", "pickle", "none", CODEC])
def test_the_setting_redact_holds_for_what_is_kept(kept, pipeline, codec):
    """What never leaves is on no disk: in values, keys, texts, ids and variables."""

    @pipeline.stage
    def check(event):
        text = "sent by cust-0042"
        raise ValueError(f"no {event['who']}", text)

    capture = Capture(kept.folder, codec=codec, locals=True, attributes=("who",))
    _failures.install(capture, redact=(r"cust-\d+", r"^49\d{5}$"))
    event = {"id": "cust-0042", "who": "cust-0042", "n": 4912345, "b": b"cust-0042"}
    call(check, {**event, "in": ["cust-0042", {"cust-0042": 1, "ok": 7}]})
    (found,) = kept.all()
    shown = on_disk(kept.folder)
    assert b"cust-0042" not in shown
    assert b"4912345" not in shown
    assert found["event_id"] == HIDDEN
    assert found["message"] == f"('no {HIDDEN}', 'sent by {HIDDEN}')"
    if codec == "json":
        (payload,) = kept.payloads()
        assert json.loads(payload.data)["in"][1]["ok"] == 7
        assert found["hidden"] >= 5


def test_files_are_private_and_large_payloads_have_their_own(kept, divide):
    """0600 for all of them, 0700 for folders."""
    kept.on()
    call(divide, {"n": 0, "data": "x" * LARGE}, {"n": 0})
    large, small = kept.payloads()
    assert json.loads(large.data)["data"] == "x" * LARGE
    assert len(small.data) < 100
    (file,) = (kept.folder / "payloads").iterdir()
    assert file.stat().st_size == len(large.data)
    for path in (kept.folder, *kept.folder.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_an_event_that_is_too_large_is_described(kept, divide):
    """The limit holds for one event."""
    kept.on(max_event_bytes=1_000)
    call(divide, {"n": 0, "data": "x" * 2_000})
    (payload,) = kept.payloads()
    assert payload.codec == "repr"
    assert "more than max_event_bytes" in payload.why


def test_the_event_as_it_was_when_it_failed(kept, divide):
    """What the program does with it afterwards does not matter."""
    kept.on()
    event = {"n": 0}
    call(divide, event)
    event["n"] = 5
    (payload,) = kept.payloads()
    assert json.loads(payload.data) == {"n": 0}


KINDS = ("call", "coroutine", "generator", "async generator")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at_entry", [(), ("un*",), ("!un*",)])
def test_the_event_as_it_was_at_entry(kept, pipeline, kind, at_entry):
    """A stage that changes its event has it as it was, if that was asked for."""

    def undo(event):
        event.clear()
        event["n"] = 1 / 0

    async def undo_later(event):
        undo(event)

    def undo_items(event):
        yield undo(event)

    async def undo_later_items(event):
        yield undo(event)

    functions = (undo, undo_later, undo_items, undo_later_items)
    stage = pipeline.stage(functions[KINDS.index(kind)], name="undo")
    plain = pipeline.stage(lambda event: event, name="plain")

    async def drive(event):
        result = stage(event)
        if kind == "coroutine":
            await result
        elif kind == "generator":
            list(result)
        elif kind == "async generator":
            [one async for one in result]

    kept.on(at_entry=at_entry)
    plain({"n": 1})
    with pytest.raises(ZeroDivisionError):
        asyncio.run(drive({"n": 7, "lines": [1]}))
    (payload,) = kept.payloads()
    as_it_was = {"n": 7, "lines": [1]} if at_entry == ("un*",) else {}
    assert json.loads(payload.data) == as_it_was
    (found,) = kept.all()
    assert found["error_type"] == "ZeroDivisionError"
    _failures.uninstall()
    assert _sinks.ENTRIES == []
    assert not this_worker().alert & ENTRY


def test_nothing_of_the_program_is_kept_alive(kept, pipeline):
    """Neither exception nor event outlives its own use."""
    import gc
    import weakref

    class Thing:
        n = 0

    @pipeline.stage
    def fails(event):
        raise ValueError

    kept.on(locals=True)
    thing = Thing()
    gone = weakref.ref(thing)
    call(fails, thing)
    del thing
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("limit", ["max_events", "max_bytes", "max_age"])
def test_bounds_drop_the_oldest_and_count_it(kept, divide, limit):
    """By number, size and age; files go with their events, groups count all."""
    reason = {"max_events": "count", "max_bytes": "size", "max_age": "age"}[limit]
    value = {"max_events": 3, "max_bytes": 3 * (LARGE + 2_000), "max_age": 1_000}
    kept.on(**{limit: value[limit]})
    for n in range(10):
        call(divide, {"id": n, "n": 0, "data": "x" * LARGE})
        assert _failures.flush()
    if limit == "max_age":
        with kept.read() as reader:
            reader._database.execute("UPDATE failures SET time = time - 2000")
        call(divide, {"id": 10, "n": 0})
    found = kept.all()
    with kept.read() as reader:
        document = reader.groups_document()
    number = 1 if limit == "max_age" else 3
    assert len(found) == number
    total = 11 if limit == "max_age" else 10
    assert document["dropped"] == {reason: total - number}
    assert document["groups"][0]["count"] == total
    assert document["kept"] == number
    files = list((kept.folder / "payloads").iterdir())
    assert len(files) == sum(one["size"] > LARGE for one in found)


def test_the_queue_to_the_writer_is_bounded(kept, divide, monkeypatch):
    """What does not fit in it is counted exactly, as lost telemetry too."""
    monkeypatch.setattr(_sink, "_WAITING", 5)
    kept.on()
    sink = _failures._INSTALLED[0]
    with sink.writer._work:  # the writer cannot write now
        call(divide, *({"n": 0} for _ in range(100)))
    with kept.read() as reader:
        document = reader.groups_document()
    assert document["kept"] + document["dropped"]["queue"] == 100
    assert document["dropped"]["queue"] == _guard.LOST["failures"] >= 90
    assert document["groups"][0]["count"] == 100
    del _guard.LOST["failures"]


def test_the_time_it_takes_is_bounded(kept, divide):
    """Beyond its share of time events are counted, not kept."""
    kept.on()
    sink = _failures._INSTALLED[0]
    sink._share._left = -1e12
    call(divide, *({"n": 0} for _ in range(100)))
    sink._share._left = 1e9
    call(divide, {"n": 0})
    with kept.read() as reader:
        document = reader.groups_document()
    assert (document["kept"], document["dropped"]) == (1, {"rate": 100})
    assert document["groups"][0]["count"] == 101
    del _guard.LOST["failures"]


def test_groups(kept, pipeline, divide):
    """By stage, exception and frame: two places of one stage are two groups."""

    def first(event):
        raise ValueError("first")

    @pipeline.stage
    def both(event):
        if event["n"]:
            first(event)
        raise ValueError(f"second {event}")

    kept.on()
    call(both, {"n": 1}, {"n": 0}, {"n": 0, "id": "x"})
    call(divide, {"n": 0})
    document = _failures.groups_document(kept.folder) if _failures.flush() else {}
    groups = document["groups"]
    assert sorted(
        (one["stage"], one["frame"]["function"], one["count"]) for one in groups
    ) == [("both", "both", 2), ("both", "first", 1), ("divide", "divide", 1)]
    largest = groups[0]
    assert largest["first"] <= largest["last"]
    assert largest["example"]["event_id"] == "x"
    assert largest["frame"]["line"] > 0


def test_filters(kept, pipeline, divide):
    """By stage, exception, group, event and time."""

    @pipeline.stage
    def parse(event):
        raise ValueError

    kept.on()
    call(divide, {"id": "a", "n": 0}, {"id": "b", "n": 0})
    call(parse, {"id": "a"})
    with kept.read() as reader:
        whole = reader.failures()

        def numbers(**filters):
            return [one["id"] for one in reader.failures(**filters)]

        assert numbers() == [3, 2, 1]
        assert numbers(stage="div*") == [2, 1]
        assert numbers(error_type="ValueError") == [3]
        assert numbers(event_id="a") == [3, 1]
        assert numbers(group=whole[0]["group"]) == [3]
        assert numbers(since=whole[1]["time"]) == [3, 2]
        assert numbers(limit=1) == [3]
        assert numbers(pipeline="other") == []


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"codec": "xml"}, "codec is 'xml'; it takes json, pickle, none"),
        ({"max_events": 0}, "max_events is 0; it takes a number above 0"),
        ({"redact_keys": ("(",)}, "redact_keys is '\\('"),
        ({"stages": (1,)}, "stages is \\(1,\\); it takes texts"),
        ({"redact": 5}, "redact is 5; it takes a callable"),
        ({"locals": 1}, "locals is 1; it takes true or false"),
    ],
)
def test_settings_that_cannot_be_right(tmp_path, settings, text):
    """They are refused when the program wires itself up."""
    with pytest.raises(stagelight.ConfigurationError, match=text):
        Capture(tmp_path, **settings)


def test_a_folder_that_is_none(tmp_path):
    """A file where the folder should be, or nothing at all."""
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", "", 5):
        with pytest.raises(stagelight.ConfigurationError, match="folder"):
            Capture(folder)


def test_settings_from_files_and_variables(tmp_path):
    """A folder, or a table; errors name the place."""
    from stagelight._config import load

    file = tmp_path / "stagelight.toml"
    file.write_text('capture = "kept"\n')
    assert load(tmp_path, {}).capture.folder == "kept"
    assert load(tmp_path, {"STAGELIGHT_CAPTURE": "x"}).capture.folder == "x"
    file.write_text('[capture]\nfolder = "kept"\nlocals = true\nmax_events = 5\n')
    found = load(tmp_path, {}).capture
    assert (found.locals, found.max_events) == (True, 5)
    file.write_text('[capture]\nfolder = "kept"\nlocal = true\n')
    with pytest.raises(stagelight.ConfigurationError, match="unknown key 'local'"):
        load(tmp_path, {})
    file.write_text("capture = true\n")
    with pytest.raises(stagelight.ConfigurationError, match="it takes a folder"):
        load(tmp_path, {})
