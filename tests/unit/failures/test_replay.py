from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass

import pytest

import stagelight
from harness.timing import least
from stagelight import testing
from stagelight._failures._schema import StoreError
from stagelight._redaction import HIDDEN


@dataclass
class Order:
    id: str
    n: int


#: What stages of this module divide by: the bug, and its fix.
DIVISORS = [0]


class Divide:
    """A stage that a replay makes by itself."""

    def process(self, event):
        return event.n / DIVISORS[0]


class Picky:
    """A stage that a replay cannot make by itself."""

    def __init__(self, divisor):
        self.divisor = divisor

    def process(self, event):
        return event.n / self.divisor


def call(stage, *events):
    """Call a stage, whatever it raises."""
    for event in events:
        try:
            stage(event)
        except (ArithmeticError, TypeError, ValueError):
            continue


@pytest.fixture(autouse=True)
def _broken():
    DIVISORS[:] = [0]


def results(replayed):
    """What the replays came to."""
    return [one.result for one in replayed]


def test_back_through_the_pipeline(kept, pipeline):
    """Each event goes through its own stage: same failure, then success."""
    divide = pipeline.stage(Divide())
    kept.on()
    call(divide.process, Order("a", 4), Order("b", 6))
    assert results(pipeline.failures.replay()) == ["same failure"] * 2
    DIVISORS[0] = 2
    made = pipeline.failures.replay()
    assert [(one.event_id, one.result, one.value) for one in made] == [
        ("a", "success", 2.0),
        ("b", "success", 3.0),
    ]
    assert pipeline.failures.replay() == []
    (group,) = pipeline.failures.groups()
    assert (group["count"], group["replays"]) == (2, {"success": 2})
    assert [one["replayed"] for one in pipeline.failures.list()] == ["success"] * 2


def test_the_stage_is_the_one_that_the_program_made(kept, pipeline):
    """An object with arguments of its own is used as it is here."""
    stage = pipeline.stage(Picky(0))
    kept.on()
    call(stage.process, Order("a", 4))
    stage.divisor = 4
    (made,) = pipeline.failures.replay()
    assert (made.result, made.value) == ("success", 1.0)


def test_through_a_queue(kept, pipeline):
    """Events may re-enter where the program says."""
    divide = pipeline.stage(Divide())
    kept.on()
    call(divide.process, Order("a", 4))
    inbox = queue.Queue()
    assert results(pipeline.failures.replay(through=inbox.put)) == ["success"]
    assert inbox.get() == Order("a", 4)


def test_another_failure(kept, pipeline):
    """It is told from the same one, with what differs."""
    divide = pipeline.stage(Divide())
    kept.on()
    call(divide.process, Order("a", 4))
    DIVISORS[0] = "two"
    (made,) = pipeline.failures.replay()
    assert made.result == "other failure"
    assert made.before == "ZeroDivisionError: division by zero"
    assert made.after.startswith("TypeError: unsupported operand")
    assert f"-{made.before}" in made.diff
    assert f"+{made.after}" in made.diff


@pytest.mark.parametrize("kind", ["coroutine", "generator", "async generator"])
def test_kinds(kept, pipeline, kind):
    """Coroutines are awaited, generators are driven to their end."""
    if kind == "coroutine":

        async def stage(event):
            return event["n"] / DIVISORS[0]

    elif kind == "generator":

        def stage(event):
            yield event["n"] / DIVISORS[0]

    else:

        async def stage(event):
            yield event["n"] / DIVISORS[0]

    observed = pipeline.stage(stage)
    kept.on()
    from stagelight._failures._replay import _run

    with pytest.raises(ZeroDivisionError):
        _run(observed, {"n": 4})
    (again,) = pipeline.failures.replay()
    assert (again.result, again.diff) == ("same failure", [])
    DIVISORS[0] = 2
    (made,) = pipeline.failures.replay()
    assert made.result == "success"
    assert made.value == (2.0 if kind == "coroutine" else [2.0])


def test_a_replay_is_a_span_that_is_linked_to_the_original(kept, pipeline):
    """Its span has the outcome, and the stage's own span is inside of it."""
    divide = pipeline.stage(Divide())
    kept.on()
    with testing.capture() as telemetry:
        call(divide.process, Order("a", 4))
        (original,) = telemetry.spans("process Divide")
        (made,) = pipeline.failures.replay()
        (span,) = telemetry.spans("replay Divide")
        inner = telemetry.spans("process Divide")[1]
    assert span["links"] == [(original["trace_id"], original["span_id"])]
    assert (span["trace_id"], span["span_id"]) == (made.trace_id, made.span_id)
    assert span["status"] == "ERROR"
    assert span["attributes"]["stagelight.replay.result"] == "same failure"
    assert span["attributes"]["stagelight.event.id"] == "a"
    assert inner["parent_id"] == span["span_id"]


def test_a_failed_replay_is_not_kept_again(kept, pipeline):
    """It is remembered with the original instead."""
    divide = pipeline.stage(Divide())
    kept.on()
    call(divide.process, Order("a", 4))
    pipeline.failures.replay()
    (found,) = kept.all()
    assert [one["result"] for one in found["replays"]] == ["same failure"]


def test_pickles_only_where_they_are_allowed(kept, pipeline):
    """Loading one needs a word of the user's, and the reason is told."""
    divide = pipeline.stage(Divide())
    kept.on(codec="pickle")
    call(divide.process, Order("a", 4))
    (made,) = pipeline.failures.replay()
    assert made.result == "not replayed"
    assert "loading one runs whatever code is in it" in made.after
    DIVISORS[0] = 2
    assert results(pipeline.failures.replay(allow_pickle=True)) == ["success"]


def test_what_was_only_described_cannot_be_replayed(kept, pipeline):
    """The outcome says so, and why."""
    divide = pipeline.stage(Divide())
    kept.on(codec="none")
    call(divide.process, Order("a", 4))
    (made,) = pipeline.failures.replay()
    assert made.result == "not replayed"
    assert "kept as a description only" in made.after


def test_without_capture(pipeline):
    """The error says how to turn it on."""
    with pytest.raises(StoreError, match="configure\\(capture=FOLDER\\)"):
        pipeline.failures.list()


class Kept:
    """A stage of a class with arguments, one of which is a secret."""

    def __init__(self, divisor, *, api_key="", scale=1):
        self.divisor = divisor
        self._scale = scale
        self.api_key = api_key

    def process(self, event, more=0):
        return (event.n + more) * self._scale / self.divisor


def test_an_object_is_made_of_what_it_was_made_of(kept, pipeline):
    """Arguments that differ from their defaults are kept, without secrets."""
    from stagelight._failures._location import find_stage
    from stagelight._failures._replay import with_arguments

    kept.on()
    stage = pipeline.stage(Kept(0, api_key="s3cr3t-value", scale=3))
    with pytest.raises(ZeroDivisionError):
        stage.process(Order("a", 1), 4)
    (found,) = kept.all()
    assert found["place"]["instance"] == {
        "arguments": {"divisor": 0, "api_key": HIDDEN, "scale": 3}
    }
    assert found["arguments"] == {"more": {"$": "tuple", "v": [4]}, "named": {}}
    for given in (None, f"{__name__}:Kept.process"):
        chosen = find_stage(found, given)
        made = chosen.call.__self__
        assert (made.divisor, made._scale, made.api_key) == (0, 3, HIDDEN)
        made.divisor = 5
        assert with_arguments(chosen, found["arguments"]).call(Order("a", 1)) == 3.0
    with pytest.raises(StoreError, match="missing 1 required positional argument"):
        find_stage({**found, "place": {**found["place"], "instance": None}})


class Loaded:
    """A stage that holds far too much."""

    def __init__(self, what):
        self.what = what

    def process(self, event):
        raise ValueError("loaded")


@pytest.mark.parametrize("what", ["x" * 10**7, b"x" * 10**7, list(range(10**6))])
def test_what_holds_far_too_much_is_not_kept(kept, pipeline, what):
    """Neither is looked through: the pipeline waits for it."""
    kept.on()
    stage = pipeline.stage(Loaded(what))

    def fail() -> float:
        began = time.thread_time()
        with pytest.raises(ValueError, match="loaded"):
            stage.process({"n": 1})
        return time.thread_time() - began

    assert least(fail, 0.05) < 0.05
    found, *_ = kept.all()
    assert found["place"]["instance"]["why"].startswith("Loaded is not kept: ")


def test_arguments_that_are_not_kept(kept, pipeline):
    """A replay says that it cannot call the stage as it was, and what would do."""

    @pipeline.stage
    def price(event, lock):
        raise ValueError("locked")

    kept.on()
    with pytest.raises(ValueError, match="locked"):
        price(Order("a", 1), threading.Lock())
    (found,) = kept.all()
    assert "_thread.lock" in found["arguments"]["why"]
    (made,) = pipeline.failures.replay()
    assert made.result == "not replayed"
    assert "name a function that takes the event alone" in made.after


def test_a_name_that_cannot_be_imported():
    """A stage made in a function is an error that asks for --stage."""
    from stagelight._failures._location import find_stage

    found = {
        "stage": "s",
        "place": {"module": __name__, "name": "f.<locals>.s", "kind": "call"},
        "process": {},
    }
    with pytest.raises(StoreError, match="--stage module:name"):
        find_stage(found)
    assert stagelight.StagelightError in StoreError.__mro__
