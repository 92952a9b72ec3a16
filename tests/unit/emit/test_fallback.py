"""Meter providers that take no ready-made histograms: one recording per event."""

from __future__ import annotations

import logging
from contextlib import suppress

import pytest
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, NoOpMeter
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider

from harness.readers import collect, points, reader
from stagelight import _guard, _metrics, _names
from stagelight._metrics import _producer

DURATION = _names.PROCESS_DURATION.name

pytestmark = pytest.mark.usefixtures("recorded")


@pytest.fixture
def parse(pipeline):
    """A stage of which every third call fails."""

    @pipeline.stage
    def parse(event):
        if event % 3 == 0:
            raise ValueError(event)
        return event

    return parse


def run(parse, events):
    """Call it for each event, and let it fail."""
    for event in events:
        with suppress(ValueError):
            parse(event)


def warnings(caplog):
    """What we said of the fallback."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "stagelight" and "one by one" in record.getMessage()
    ]


def counts(found):
    """Count by outcome and error type of histogram points."""
    return {
        (one.attributes[_names.OUTCOME], one.attributes.get(_names.ERROR_TYPE)): (
            one.count
        )
        for one in found
    }


@pytest.mark.parametrize("how", ["says no", "raises"])
def test_an_sdk_without_the_seam(how, monkeypatch, attached, parse, caplog):
    """Where the SDK's inside is another, durations are recorded by its histogram."""

    def rebind(_):
        if how == "raises":
            raise AttributeError("_measurement_consumer")
        return False

    monkeypatch.setattr(_producer, "rebind", rebind)
    # The wrapper is installed for good: let this collection pass it by.
    monkeypatch.setattr(_producer, "_append", lambda *_: None)
    delta, whole = reader(delta=True), reader()
    attached(delta, whole)
    run(parse, range(7))
    expected = {("success", None): 4, ("failure", "ValueError"): 3}
    metrics = collect(whole)
    assert counts(points(metrics, DURATION)) == expected
    assert counts(points(collect(delta), DURATION)) == expected
    metric = metrics[DURATION]
    assert (metric.unit, metric.description) == (
        _names.PROCESS_DURATION.unit,
        _names.PROCESS_DURATION.description,
    )
    assert metric.data.data_points[0].explicit_bounds == _names.DURATION_BUCKETS
    # The counters stay observed, and all agree.
    consumed = points(metrics, _names.CONSUMED.name)
    assert sorted(point.value for point in consumed) == [3, 4]
    assert len(warnings(caplog)) == 1


def test_the_sum_is_that_of_the_slots(monkeypatch, attached, parse, pipeline):
    """Both ways measure the same time, only elsewhere."""
    monkeypatch.setattr(_producer, "rebind", lambda _: False)
    monkeypatch.setattr(_producer, "_append", lambda *_: None)
    one = reader()
    attached(one)
    run(parse, range(1, 10))
    total = sum(point.sum for point in points(collect(one), DURATION))
    duration = pipeline.stats()["stages"]["parse"]["duration"]
    assert duration["count"] == 9
    assert total == pytest.approx(duration["mean"] * 9)


class Foreign(MeterProvider):
    """A provider that is not the SDK's: it keeps callbacks and recordings."""

    def __init__(self):
        self.meters = []

    def get_meter(self, name, version=None, schema_url=None, attributes=None):
        """A meter of its own kind."""
        self.meters.append(ForeignMeter(name))
        return self.meters[-1]


class ForeignMeter(NoOpMeter):
    def __init__(self, name):
        super().__init__(name)
        self.callbacks = {}
        self.recorded = []

    def create_observable_counter(self, name, callbacks=None, unit="", description=""):
        """Keep its callback."""
        self.callbacks[name] = callbacks[0]
        return super().create_observable_counter(name, callbacks, unit, description)

    create_observable_up_down_counter = create_observable_counter
    create_observable_gauge = create_observable_counter

    def create_histogram(self, name, **_):
        """Keep what is recorded."""
        meter = self

        class Kept:
            def record(self, amount, attributes=None, context=None):
                meter.recorded.append((name, amount, attributes))

        return Kept()

    def read(self, name):
        """What one observable says."""
        return {
            tuple(one.attributes.values()): one.value
            for one in self.callbacks[name](CallbackOptions())
        }


def test_a_foreign_provider(parse, caplog):
    """One that reads our observables by itself gets durations once it has done so."""
    provider = Foreign()
    _metrics.attach(provider)
    (meter,) = provider.meters
    assert isinstance(meter, Meter)
    run(parse, range(3))
    assert (meter.recorded, warnings(caplog)) == ([], [])
    assert meter.read(_names.CONSUMED.name) == {
        ("unit", "parse", "success"): 2,
        ("unit", "parse", "failure"): 1,
    }
    run(parse, [1, 3])
    assert meter.read(_names.QUEUE_SIZE.name) == {}
    # A second reading is a collection of its own, however soon it comes.
    assert meter.read(_names.CONSUMED.name) == {
        ("unit", "parse", "success"): 3,
        ("unit", "parse", "failure"): 2,
    }
    (good, bad) = meter.recorded
    stage = {_names.PIPELINE: "unit", _names.STAGE: "parse"}
    assert good[2] == {**stage, _names.OUTCOME: "success"}
    assert bad[2] == {
        **stage,
        _names.OUTCOME: "failure",
        _names.ERROR_TYPE: "ValueError",
    }
    assert {good[0], bad[0]} == {DURATION}
    assert min(good[1], bad[1]) > 0
    assert len(warnings(caplog)) == 1


def test_the_fallback_beside_the_seam(monkeypatch, attached, parse, caplog):
    """A provider of each kind gets every call once."""
    fitting = reader()
    attached(fitting)
    foreign = Foreign()
    _metrics.attach(foreign)
    foreign.meters[0].read(_names.CONSUMED.name)
    run(parse, [1, 2])
    assert counts(points(collect(fitting), DURATION)) == {("success", None): 2}
    assert [name for name, *_ in foreign.meters[0].recorded] == [DURATION] * 2
    assert len(warnings(caplog)) == 1


def test_a_provider_is_attached_once(attached):
    """Attaching again gives no instrument twice, of which the SDK would warn."""
    one = reader()
    provider = attached(one)
    assert isinstance(provider, SdkMeterProvider)
    _metrics.attach(provider)
    _metrics.attach(provider)
    metrics = collect(one)
    assert len([name for name in metrics if name == _names.CONSUMED.name]) <= 1


@pytest.mark.usefixtures("lenient")
def test_a_failing_look_never_reaches_the_reader(monkeypatch, attached, parse, caplog):
    """An error of ours in a collection is counted; the user's own metrics arrive."""
    one = reader()
    provider = attached(one)
    provider.get_meter("user").create_counter("orders").add(1)
    run(parse, [1])

    def broken(*_):
        raise RuntimeError("ours")

    monkeypatch.setattr(_producer, "histograms", broken)
    with caplog.at_level(logging.WARNING, "stagelight"):
        metrics = collect(one)
        collect(one)
    assert metrics["orders"].data.data_points[0].value == 1
    assert _guard.ERRORS == {"collect": 2}
    assert (
        len([one for one in caplog.records if "failed in collect" in one.message]) == 1
    )
