from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import threading

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

import stagelight
from stagelight import _recorder, _rescue, _setup
from stagelight._deferred import RESCUERS, Deferred
from stagelight._distribution import NEVER
from stagelight._ids import IDS, fresh_ids
from stagelight._tracer import TRACER
from stagelight._trail import settle
from stagelight._workers import this_worker
from stagelight.testing import capture


class Boom(Exception):
    """What failing stages raise."""


@pytest.fixture
def captured():
    """Everything emitted while no journey is in the head sample."""
    before = RESCUERS[:]
    with capture() as found:
        TRACER.configure(found.tracer_provider, 1.0)
        TRACER.due = TRACER.budget.due = NEVER
        yield found
    RESCUERS[:] = before


@pytest.fixture
def warm(pipeline):
    """A stage that has run once, which lets this thread make light calls."""

    @pipeline.stage(name="warm")
    def warm(event):
        return event

    def begin():
        warm(object())

    return begin


def _tree(found):
    """Names of spans with their parents' names."""
    names = {span["span_id"]: span["name"] for span in found.spans()}
    return sorted(
        (span["name"], names.get(span["parent_id"], "")) for span in found.spans()
    )


def _ids():
    ids = trace.get_current_span().get_span_context()
    return ids.trace_id, ids.span_id, ids.trace_flags.sampled


def test_unsampled_call_has_stable_ids_and_no_span(captured, pipeline, warm):
    """Inside a light call one valid, unsampled span is current; nothing is exported."""
    warm()

    @pipeline.stage
    def look(event):
        assert isinstance(trace.get_current_span(), Deferred)
        return _ids(), _ids()

    first, again = look(1)
    other, _ = look(2)
    assert first == again
    assert first[0]
    assert first[1]
    assert not first[2]
    assert other[0] != first[0]
    assert _ids() == (0, 0, False)
    assert captured.spans() == []
    assert pipeline.stats()["stages"]["look"]["count"] == 2


def test_failure_is_exported_with_the_ids_of_its_log(captured, pipeline, warm):
    """A failed light call becomes a marked trace that has the ids of its log."""
    warm()
    seen = []

    @pipeline.stage
    def fails(event):
        seen.append(_ids())
        raise Boom(event["id"])

    with pytest.raises(Boom):
        fails({"id": "e1"})
    root, span = captured.spans()
    (log,) = captured.logs()
    assert (root["name"], root["parent_id"]) == ("ingest unit", "")
    assert (span["name"], span["parent_id"]) == ("process fails", root["span_id"])
    assert span["trace_id"] == root["trace_id"] == log["trace_id"]
    assert span["span_id"] == log["span_id"]
    assert seen == [(int(span["trace_id"], 16), int(span["span_id"], 16), False)]
    assert root["attributes"] == {
        "stagelight.pipeline.name": "unit",
        "stagelight.rescued": "failure",
    }
    assert span["attributes"] == {
        "stagelight.pipeline.name": "unit",
        "stagelight.stage.name": "fails",
        "code.function.name": f"{__name__}.{fails.__qualname__}",
        "stagelight.outcome": "failure",
        "stagelight.event.id": "e1",
        "thread.name": "MainThread",
        "error.type": f"{__name__}.Boom",
        "stagelight.rescued": "failure",
    }
    assert (span["status"], span["description"]) == ("ERROR", "e1")


def test_earlier_stages_of_a_chain_are_rescued(captured, pipeline, warm):
    """Direct calls on one event are one journey, exported as a whole when it fails."""
    warm()

    @pipeline.stage
    def a(event):
        return [event]

    @pipeline.stage
    def b(event):
        return [event]

    @pipeline.stage
    def c(event):
        raise Boom

    a(0)
    with pytest.raises(Boom):
        c(b(a(1)))
    assert _tree(captured) == [
        ("ingest unit", ""),
        ("process a", "ingest unit"),
        ("process b", "ingest unit"),
        ("process c", "ingest unit"),
    ]
    assert len({span["trace_id"] for span in captured.spans()}) == 1


@pytest.mark.parametrize("where", ["inside", "after"])
def test_journeys_across_a_queue_are_rescued(captured, pipeline, warm, where):
    """What a stage before a queue did is exported when one behind it fails."""
    items = pipeline.queue(queue.Queue(), "items")

    @pipeline.stage
    def produce(event):
        made = [event]
        if where == "inside":
            items.put(made)
        return made

    @pipeline.stage
    def consume(event):
        raise Boom

    def work():
        with pytest.raises(Boom):
            consume(items.get())

    warm()
    made = produce(1)
    if where == "after":
        items.put(made)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert _tree(captured) == [
        ("ingest unit", ""),
        ("process consume", "ingest unit"),
        ("process produce", "ingest unit"),
    ]
    (log,) = captured.logs()
    assert {span["trace_id"] for span in captured.spans()} == {log["trace_id"]}


def test_what_user_code_sets_is_kept(captured, pipeline, warm):
    """Attributes, events, exceptions and a name set on the span are exported."""
    warm()

    @pipeline.stage
    def fails(event):
        span = trace.get_current_span()
        assert span.is_recording()
        span.set_attribute("user.key", 1)
        span.set_attributes({"user.other": "x"})
        span.add_event("noted", {"n": 2})
        span.add_link(trace.SpanContext(1, 2, is_remote=False))
        try:
            raise KeyError("inner")
        except KeyError as error:
            span.record_exception(error)
        span.update_name("renamed")
        raise Boom

    with pytest.raises(Boom):
        fails(1)
    span = captured.spans("renamed")[0]
    assert span["attributes"]["user.key"] == 1
    assert span["attributes"]["user.other"] == "x"
    assert span["events"] == ["noted", "exception"]
    assert span["links"] == [(f"{1:032x}", f"{2:016x}")]


def test_children_of_others_see_an_unsampled_parent(captured, pipeline, warm):
    """A manual span inside a light call continues the trace and is not recorded."""
    warm()
    tracer = captured.tracer_provider.get_tracer("user")

    @pipeline.stage
    def outer(event):
        with tracer.start_as_current_span("child") as span:
            return _ids()[0], span.get_span_context().trace_id, span.is_recording()

    stage, child, recording = outer(1)
    assert stage == child
    assert not recording
    assert captured.spans() == []


def test_a_captured_context_keeps_its_ids(captured, pipeline, warm):
    """What was captured inside a light call means that call, also when it is over."""
    warm()
    kept = []

    @pipeline.stage
    def capture_it(event):
        kept.append((contextvars.copy_context(), context.get_current()))
        return event

    capture_it(1)
    capture_it(2)
    ids = [copied.run(_ids) for copied, _ in kept]
    assert ids == [copied.run(_ids) for copied, _ in kept]
    assert ids[0] != ids[1]
    for (_, current), (trace_id, span_id, _) in zip(kept, ids, strict=True):
        span = trace.get_current_span(current).get_span_context()
        assert (span.trace_id, span.span_id) == (trace_id, span_id)


def test_log_records_of_user_code_correlate(captured, pipeline, warm, caplog):
    """A handler that reads the current span gets the ids that a rescue exports."""
    warm()
    seen = []

    class Handler(logging.Handler):
        def emit(self, record):
            seen.append(_ids()[:2])

    handler = Handler()
    logging.getLogger("app").addHandler(handler)

    @pipeline.stage
    def fails(event):
        logging.getLogger("app").warning("soon")
        raise Boom

    try:
        with pytest.raises(Boom):
            fails(1)
    finally:
        logging.getLogger("app").removeHandler(handler)
    span = captured.spans("process fails")[0]
    assert seen == [(int(span["trace_id"], 16), int(span["span_id"], 16))]


def test_nested_failure_is_rescued_as_a_tree(captured, pipeline, warm):
    """A stage that fails inside a light call is exported under that call."""
    warm()

    @pipeline.stage
    def inner(event):
        raise Boom

    @pipeline.stage
    def outer(event):
        return inner(event)

    with pytest.raises(Boom):
        outer(1)
    assert _tree(captured) == [
        ("ingest unit", ""),
        ("process inner", "process outer"),
        ("process outer", "ingest unit"),
    ]
    assert len(captured.logs()) == 1


def test_coroutines_and_generators_are_rescued(captured, pipeline):
    """An unsampled coroutine or generator that fails has a trace too."""

    @pipeline.stage
    async def later(event):
        await asyncio.sleep(0)
        raise Boom

    @pipeline.stage
    def items(event):
        yield event
        raise Boom

    with pytest.raises(Boom):
        asyncio.run(later(1))
    with pytest.raises(Boom):
        list(items(1))
    names = {span["name"] for span in captured.spans()}
    assert {"process later", "process items"} <= names
    ids = {span["span_id"] for span in captured.spans()}
    assert {log["span_id"] for log in captured.logs()} <= ids


def test_slow_call_is_rescued(captured, pipeline, warm):
    """A call above the limit that its slot has learned is exported, marked as slow."""
    warm()

    @pipeline.stage
    def work(event):
        return event

    work(0)
    slot = work.__stagelight_stage__.slot()
    slot.slow = 0
    work([1])
    slot.slow = NEVER
    work([2])
    span = captured.spans("process work")[0]
    assert span["attributes"]["stagelight.rescued"] == "slow"
    assert span["status"] == "UNSET"
    assert len(captured.spans("process work")) == 1


def test_slots_learn_what_is_slow(pipeline):
    """After enough calls a slot knows twice its p99, and at least a millisecond."""

    @pipeline.stage
    def work(event):
        return event

    slot = work.__stagelight_stage__.slot()
    now = 5_000_000_000
    slot.turn_over(now)
    for took in (*[10_000_000] * 990, *[50_000_000] * 10):
        slot.record(took)
    assert slot.slow == NEVER
    slot.turn_over(now + 1_000_000_000)
    assert 19_000_000 < slot.slow < 110_000_000


def test_rescue_can_be_turned_off(captured, pipeline, warm):
    """Without a budget nothing is exported, and the current span does not record."""
    warm()
    _rescue.install(0)

    @pipeline.stage
    def fails(event):
        assert not trace.get_current_span().is_recording()
        trace.get_current_span().set_attribute("key", 1)
        raise Boom

    with pytest.raises(Boom):
        fails(1)
    assert captured.spans() == []
    (log,) = captured.logs()
    assert int(log["trace_id"], 16)


def test_rescues_are_limited(captured, pipeline, warm):
    """No more failed journeys are exported than the budget allows; all have a log."""
    warm()
    _rescue.install(1)  # and a burst of ten seconds

    @pipeline.stage
    def fails(event):
        raise Boom

    for number in range(50):
        with pytest.raises(Boom):
            fails([number])
    assert 10 <= len(captured.spans("process fails")) <= 12
    assert len(captured.logs()) == 50


@pytest.mark.parametrize(
    ("sampler", "exported"), [("traceidratio", True), ("always_off", False)]
)
def test_sdk_sampler_decides_and_failures_are_added(
    monkeypatch, pipeline, sampler, exported
):
    """What a ratio leaves out is rescued with the SDK's ids; always_off is obeyed."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    memory = InMemorySpanExporter()
    provider = TracerProvider(TraceIdRatioBased(0.0), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    seen = []
    before = RESCUERS[:]
    TRACER.configure(provider, 50)
    _rescue.install(100)

    @pipeline.stage
    def fails(event):
        seen.append(_ids())
        raise Boom

    try:
        with pytest.raises(Boom):
            fails(1)
    finally:
        RESCUERS[:] = before
    spans = {span.name: span.context for span in memory.get_finished_spans()}
    assert set(spans) == ({"ingest unit", "process fails"} if exported else set())
    assert not seen[0][2]
    if exported:
        found = spans["process fails"]
        assert (found.trace_id, found.span_id) == seen[0][:2]


def test_retries_and_drops_in_light_calls_count(captured, pipeline, warm):
    """A light call that retries tells its attempt, one that drops its outcome."""
    warm()

    @pipeline.stage
    def work(event):
        stagelight.retry()
        if event == "bad":
            raise Boom
        stagelight.drop("empty")

    work("good")
    with pytest.raises(Boom):
        work("bad")
    stats = pipeline.stats()["stages"]["work"]
    assert stats["outcomes"] == {"dropped": 1, "failure": 1}
    assert stats["retries"] == 2
    (log,) = captured.logs("stagelight.stage.process.exception")
    assert log["attributes"]["stagelight.attempt"] == 2


class Beginning(SpanProcessor):
    """Wants to see spans when they begin, as a baggage processor does."""

    def on_start(self, span, parent_context=None):
        span.set_attribute("seen", "at the start")


def test_processors_that_see_spans_begin_get_them(pipeline):
    """Where a processor wants to see spans begin, they are the SDK's own."""
    with capture() as found:

        @pipeline.stage
        def work(event):
            return type(trace.get_current_span()).__name__

        assert work(1) == "Deferred"
        found.tracer_provider.add_span_processor(Beginning())
        assert work(2) == "_Span"
        first, second = found.spans("process work")
        seen = {"seen": "at the start"}
        assert second["attributes"] == {**first["attributes"], **seen}
        assert (second["kind"], second["status"]) == (first["kind"], first["status"])


def test_ids_are_the_providers(pipeline):
    """A provider's own generator of ids is asked, sampled or not."""

    class Counting(IdGenerator):
        number = 0

        def generate_span_id(self):
            self.number += 1
            return self.number

        def generate_trace_id(self):
            return 7 << 64

    memory = InMemorySpanExporter()
    provider = TracerProvider(id_generator=Counting(), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    before = RESCUERS[:]
    TRACER.configure(provider, None)

    @pipeline.stage
    def work(event):
        return event

    try:
        work(1)
    finally:
        RESCUERS[:] = before
        IDS.generator = None
    root, span = memory.get_finished_spans()
    assert [one.context.trace_id for one in (root, span)] == [7 << 64] * 2
    assert [one.context.span_id for one in (root, span)] == [1, 2]


def test_user_attributes_are_checked_and_cut_as_in_the_sdk(pipeline):
    """What user code sets on a sampled span obeys the provider's limits."""
    limits = SpanLimits(max_span_attribute_length=5)
    memory = InMemorySpanExporter()
    provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    TRACER.configure(provider, None)

    @pipeline.stage
    def work(event):
        trace.get_current_span().set_attribute("key", "0123456789")

    work(1)
    _, span = memory.get_finished_spans()
    assert span.attributes["key"] == "01234"
    assert span.attributes["stagelight.stage.name"] == "work"


def test_no_head_sample_still_rescues(pipeline):
    """With no journeys a second only those that fail have a trace."""
    before = RESCUERS[:]
    with capture() as found:
        _setup.adopt(tracer_provider=found.tracer_provider, journeys_per_second=0)

        @pipeline.stage
        def work(event):
            if event == "bad":
                raise Boom

        for event in ("good", "better"):
            work(event)
        assert found.spans() == []
        with pytest.raises(Boom):
            work("bad")
        assert _tree(found) == [("ingest unit", ""), ("process work", "ingest unit")]
    RESCUERS[:] = before


def test_steps_handed_over_are_held_once(captured, pipeline, warm):
    """What went along with an event is not held again when its thread goes on."""
    items = pipeline.queue(queue.Queue(), "items")

    @pipeline.stage
    def produce(event):
        return [event]

    @pipeline.stage
    def consume(event):
        raise Boom

    warm()
    items.put(produce(0))  # after which the way from stage to queue is known
    items.put(produce(1))
    settle(this_worker())
    items.get()
    with pytest.raises(Boom):
        consume(items.get())
    assert _tree(captured) == [
        ("ingest unit", ""),
        ("process consume", "ingest unit"),
        ("process produce", "ingest unit"),
    ]


class Ending(SpanProcessor):
    """Wants to see spans just before they end, as they still are the SDK's own."""

    def __init__(self):
        self.seen = []

    def _on_ending(self, span):
        self.seen.append((span.name, type(span).__name__))


@pytest.mark.parametrize(
    "limits",
    [
        SpanLimits(max_span_attributes=2),
        SpanLimits(max_events=1),
        SpanLimits(max_links=1),
        SpanLimits(max_event_attributes=1),
    ],
    ids=["attributes", "events", "links", "attributes of events"],
)
def test_limits_of_numbers_are_the_sdks(pipeline, limits):
    """Where spans may have fewer parts than by default, the SDK's own drop them."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    TRACER.configure(provider, None)

    @pipeline.stage
    def work(event):
        span = trace.get_current_span()
        for number in range(3):
            span.add_event("one", {"a": number, "b": number})
            span.add_link(span.get_span_context())
        return type(span).__name__

    assert work(1) == "_Span"
    span = memory.get_finished_spans()[-1]
    dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links)
    cut = sum(event.attributes.dropped for event in span._events)
    assert sum(dropped) + cut > 0


@pytest.mark.skipif(not hasattr(SpanProcessor, "_on_ending"), reason="an older SDK")
def test_processors_that_see_spans_ending_get_them(pipeline):
    """Where a processor wants to see spans just before they end, it does."""
    with capture() as found:

        @pipeline.stage
        def work(event):
            return event

        ending = Ending()
        found.tracer_provider.add_span_processor(ending)
        work(1)
    assert ending.seen == [("ingest unit", "_Span"), ("process work", "_Span")]


def test_spans_are_built_in_the_order_that_this_sdk_takes(pipeline):
    """By position or by name, a span of the SDK is made of the same parts."""
    span = Deferred("work", 0, began=1, attributes={"a": 1}, sampled=True)
    span.ended = 3
    provider = TracerProvider(shutdown_on_exit=False)
    assert _recorder._TAKES == _recorder._PARTS
    made = _recorder.readable(span, provider, None, None)
    again = _recorder._by_name(
        made.name,
        made.context,
        made.parent,
        made.resource,
        made.attributes,
        made.events,
        made.links,
        made.kind,
        None,
        made.status,
        made.start_time,
        made.end_time,
        made.instrumentation_scope,
    )
    assert again.to_json() == made.to_json()
    assert made.end_time - made.start_time == 2


def test_ids_are_those_that_the_api_would_check():
    """A new span's ids are the same object as the API makes, only sooner."""
    for sampled in (False, True):
        ids = fresh_ids(0, sampled=sampled)
        flags = trace.TraceFlags(sampled)
        checked = trace.SpanContext(ids.trace_id, ids.span_id, False, flags)
        assert type(ids) is trace.SpanContext
        assert (ids, ids.is_valid, ids.trace_state) == (checked, True, {})
