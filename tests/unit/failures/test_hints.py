from __future__ import annotations

import contextlib
import queue
import random
import threading

import pytest
from opentelemetry.sdk.trace import TracerProvider

from stagelight import _failures
from stagelight._deferred import RESCUERS
from stagelight._failures import _sampler
from stagelight._failures._hints import hints
from stagelight._rescue import Rescuer
from stagelight._tracer import TRACER


@pytest.fixture
def unsampled():
    """Journeys are traced, and none is in the head sample."""
    before = (TRACER.provider, TRACER.budget, TRACER.enabled)
    provider = TracerProvider(shutdown_on_exit=False)
    TRACER.configure(provider, 0, rescuing=True)
    RESCUERS.append(Rescuer(None))
    yield
    RESCUERS.pop()
    provider.shutdown()
    TRACER.provider, TRACER.budget, TRACER.enabled = before
    TRACER.refresh(anew=True)


def counted(events):
    """Names and values to their numbers."""
    found = {}
    for event in events:
        for pair in event.items():
            found[pair] = found.get(pair, 0) + 1
    return found


def drawn(rng, number, **shares):
    """Events with random attributes; for each name the share of its first value."""
    return [
        {
            name: "a" if rng.random() < share else f"b{rng.randrange(3)}"
            for name, share in shares.items()
        }
        for _ in range(number)
    ]


def found_in(failed, succeeded):
    """The hints, as name, value and both shares in per cent."""
    return [
        (one.name, one.value, round(one.failures * 100), round(one.successes * 100))
        for one in hints(
            counted(failed), len(failed), counted(succeeded), len(succeeded)
        )
    ]


@pytest.mark.parametrize("seed", range(20))
def test_a_planted_cause_is_found(seed):
    """One attribute explains the failures, the others do not."""
    rng = random.Random(seed)
    failed = drawn(rng, 200, source=0.97, tier=0.3, size=0.7)
    succeeded = drawn(rng, 300, source=0.12, tier=0.3, size=0.7)
    ((name, value, bad, good),) = found_in(failed, succeeded)
    assert (name, value) == ("source", "a")
    assert bad > 90
    assert good < 25


@pytest.mark.parametrize("seed", range(200))
def test_without_a_cause_nothing_is_said(seed):
    """Chance alone gives no hint, whatever the number of events."""
    rng = random.Random(seed)
    shares = {f"n{n}": rng.random() for n in range(10)}
    failed = drawn(rng, rng.choice([5, 10, 30, 300]), **shares)
    succeeded = drawn(rng, rng.choice([5, 10, 30, 300]), **shares)
    assert found_in(failed, succeeded) == []


def test_two_causes_are_ranked():
    """The clearer one is first."""
    rng = random.Random(7)
    failed = drawn(rng, 300, one=0.7, two=0.95)
    succeeded = drawn(rng, 300, one=0.2, two=0.1)
    assert [name for name, *_ in found_in(failed, succeeded)] == ["two", "one"]


def test_in_a_pipeline(kept, pipeline):
    """Successes are sampled as they end, and the group has the hint."""

    @pipeline.stage
    def price(event):
        if event["source"] == "eu-3" and event["n"] % 2:
            raise ValueError(event["n"])
        return event

    kept.on(attributes=("source", "tier"))
    (sampler,) = _sampler._INSTALLED
    rng = random.Random(3)
    for n in range(8_000):
        if n % 10 == 0:
            sampler.mark()
        source = rng.choice(["eu-1", "eu-2", "eu-3", "us-1", "us-2"])
        event = {"id": n, "n": n, "source": source, "tier": rng.choice("ab")}
        try:
            price(event)
        except ValueError:
            continue
    with kept.read() as reader:
        (group,) = reader.groups()
        _, successes = reader._traits("success", "unit\nprice")
    (hint,) = group["hints"]
    assert (hint["name"], hint["value"], hint["failures"]) == ("source", "eu-3", 1.0)
    assert 0.02 < hint["successes"] < 0.25
    assert hint["text"].startswith("100% of these failures have source=eu-3 (")
    assert 100 < successes < 1_500


def test_the_stage_before_and_the_size(kept, pipeline, unsampled):
    """A cause that is neither declared nor in the event."""
    waiting = pipeline.queue(queue.Queue(), "waiting")
    readers = [
        pipeline.stage(lambda event: event, name="read_csv"),
        pipeline.stage(lambda event: event, name="read_json"),
    ]

    @pipeline.stage
    def price(event):
        if event["bad"]:
            raise ValueError(event["id"])
        return event

    rng = random.Random(5)

    def read():
        for number in range(600):
            csv = rng.random() < 0.3
            bad = csv and rng.random() < 0.5
            text = "x" * (10_000 if bad else 100)
            event = {"id": number, "n": rng.randrange(3), "bad": bad, "text": text}
            waiting.put(readers[not csv](event))

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    kept.on(attributes=("n",))
    (sampler,) = _sampler._INSTALLED
    for _ in range(600):
        sampler.mark()
        with contextlib.suppress(ValueError):
            price(waiting.get())
    with kept.read() as reader:
        (group,) = reader.groups()
    found = {hint["name"]: hint for hint in group["hints"]}
    assert set(found) == {"upstream", "payload size"}
    assert (found["upstream"]["value"], found["upstream"]["failures"]) == (
        "read_csv",
        1.0,
    )
    assert found["payload size"]["value"] == "4 to 64 KiB"


@pytest.mark.parametrize("seed", range(8))
def test_in_a_pipeline_without_a_cause(kept, pipeline, seed):
    """Events that fail by chance have nothing in common, and nothing is said."""
    waiting = pipeline.queue(queue.Queue(), "waiting")
    rng = random.Random(seed)

    @pipeline.stage
    def price(event):
        if rng.random() < 0.3:
            raise ValueError(event["id"])
        return event

    kept.on(attributes=("source", "tier"))
    (sampler,) = _sampler._INSTALLED
    for number in range(400):
        sampler.mark()
        event = {"id": number, "source": rng.choice("abc"), "tier": rng.choice("xy")}
        waiting.put({**event, "text": "x" * rng.choice([10, 1000])})
        with contextlib.suppress(ValueError):
            price(waiting.get())
    with kept.read() as reader:
        (group,) = reader.groups()
        _, successes = reader._traits("success", "unit\nprice")
    assert successes > 10
    assert group["hints"] == []


def test_without_declared_attributes_nothing_is_sampled(kept, pipeline):
    """No thread looks, and no call ends on another path."""
    from stagelight import _sinks

    kept.on()
    assert _sampler._INSTALLED == []
    assert _sinks.SUCCESSES == []


def test_values_are_bounded_and_secrets_hidden(kept, pipeline):
    """At most 32 values of a name, and nothing that its name calls secret."""

    @pipeline.stage
    def fails(event):
        raise ValueError

    kept.on(attributes=("n", "token"))
    for n in range(100):
        try:
            fails({"n": n, "token": "s3cr3t-value"})
        except ValueError:
            continue
    with kept.read() as reader:
        (group,) = reader.groups()
        traits, failures = reader._traits("failure", group["id"])
    assert failures == 100
    assert len([value for name, value in traits if name == "n"]) == 33
    assert traits["n", "_OTHER"] == 68
    assert traits["token", "[redacted]"] == 100
    assert _failures.installed().attributes == ("n", "token")
