from __future__ import annotations

import asyncio
import multiprocessing
import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

import children
from stagelight import _tracer
from stagelight._journey import FAN_OUT
from stagelight._tracer import TRACER

# Python 3.12 warns of a fork beside threads: pools and pytest have some.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


class Event:
    """An event with an identity of its own."""

    def __init__(self, number):
        self.id = number


def _in_thread(target, *args):
    problems = []

    def run():
        try:
            target(*args)
        except BaseException as error:  # noqa: BLE001 - raised again below
            problems.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    if problems:
        raise problems[0]


def _traces(spans):
    """Names of each trace's spans with their parents' names, by trace."""
    names = {span.context.span_id: span.name for span in spans.all()}
    found = {}
    for span in spans.all():
        parent = names.get(span.parent.span_id) if span.parent else None
        found.setdefault(span.context.trace_id, []).append((span.name, parent))
    return sorted(sorted(one) for one in found.values())


def _pair(pipeline, first="a", second="b"):
    return (
        pipeline.stage(lambda event: event, name=first),
        pipeline.stage(lambda event: event, name=second),
    )


FLAT = [
    ("ingest unit", None),
    ("process a", "ingest unit"),
    ("process b", "ingest unit"),
]


def test_a_journey_begins_with_a_short_root(pipeline, spans):
    """An event that enters a stage has a root of kind CONSUMER that ended before."""
    a, _ = _pair(pipeline)
    a(Event(1))
    root, stage = spans.all()
    assert [(one.name, one.kind) for one in (root, stage)] == [
        ("ingest unit", SpanKind.CONSUMER),
        ("process a", SpanKind.INTERNAL),
    ]
    assert root.parent is None
    assert stage.parent.span_id == root.context.span_id
    assert root.end_time <= stage.end_time
    assert not trace.get_current_span().get_span_context().is_valid


def test_results_handed_on_directly_stay_in_the_journey(pipeline, spans):
    """Stages called one after the other are siblings; another event begins anew."""
    a, b = _pair(pipeline)
    for number in range(2):
        b(a(Event(number)))
    assert _traces(spans) == [FLAT] * 2


def test_nested_calls_nest(pipeline, spans):
    """A stage that calls a stage is its parent."""
    _, b = _pair(pipeline)
    outer = pipeline.stage(lambda event: (b(event),), name="outer")
    outer(Event(1))
    assert _traces(spans) == [
        [
            ("ingest unit", None),
            ("process b", "process outer"),
            ("process outer", "ingest unit"),
        ]
    ]


@pytest.mark.parametrize(
    "made", [queue.Queue, queue.LifoQueue, queue.SimpleQueue, queue.PriorityQueue]
)
def test_across_a_thread_queue(pipeline, spans, made):
    """The stage behind a queue is a sibling of the one before it."""
    a, b = _pair(pipeline)
    q = pipeline.queue(made(), "q")

    def produce():
        for number in range(3):
            q.put((a(number), f"event {number}"))

    def consume():
        for _ in range(3):
            event = q.get()
            b(event)

    _in_thread(produce)
    _in_thread(consume)
    assert _traces(spans) == [FLAT] * 3
    behind = spans.named("process b")
    assert {span.attributes["stagelight.queue.name"] for span in behind} == {"q"}


def test_across_several_queues(pipeline, spans):
    """All stages of a journey are flat siblings, however many queues there are."""
    stages = [pipeline.stage(lambda event: event, name=name) for name in "abcd"]
    queues = [pipeline.queue(queue.Queue(), f"q{n}") for n in range(3)]

    def relay(stage, inbox, outbox):
        while (event := inbox.get()) is not None:
            outbox.put(stage(event))

    threads = [
        threading.Thread(target=relay, args=(stages[n], queues[n - 1], queues[n]))
        for n in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for number in range(5):
        queues[0].put(stages[0](Event(number)))
    last = stages[3]
    for _ in range(5):
        last(queues[2].get(timeout=10))
    for n, thread in enumerate(threads):
        queues[n].put(None)
        thread.join(10)
    expected = [("ingest unit", None)]
    expected += [(f"process {name}", "ingest unit") for name in "abcd"]
    assert _traces(spans) == [expected] * 5


def test_derived_events_keep_the_journey(pipeline, spans):
    """What plain code makes of a fetched event is still that event's journey."""
    a, b = _pair(pipeline)
    q = pipeline.queue(queue.Queue(), "q")
    for number in range(3):
        q.put(a(f"event {number}"))

    def consume():
        for _ in range(3):
            b(q.get().upper())

    _in_thread(consume)
    assert _traces(spans) == [FLAT] * 3


def test_events_that_are_passed_over(pipeline, spans):
    """A filtered event does not lend its journey to the next one."""
    a, b = _pair(pipeline)
    q = pipeline.queue(queue.Queue(), "q")
    for number in range(6):
        q.put(a(f"event {number}"))
    origins = [span.context.trace_id for span in spans.named("process a")]

    kept = []

    def consume():
        for number in range(6):
            text = q.get()
            kept.append(text)
            if number % 2:
                b(text.upper())

    _in_thread(consume)
    found = [span.context.trace_id for span in spans.named("process b")]
    assert found == origins[1::2]


def test_across_an_asyncio_queue(pipeline, spans):
    """Tasks that overlap on one thread keep their events' journeys apart."""
    a, b = _pair(pipeline)

    async def work(event):
        await asyncio.sleep(0)
        return event

    c = pipeline.stage(work, name="c")

    async def main():
        q = pipeline.queue(asyncio.Queue(3), "q")

        async def consume():
            while (event := await q.get()) is not None:
                b(await c(event))

        tasks = [asyncio.create_task(consume()) for _ in range(4)]
        for number in range(20):
            await q.put(a(Event(number)))
        for _ in tasks:
            await q.put(None)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert _traces(spans) == [sorted([*FLAT, ("process c", "ingest unit")])] * 20


def test_getters_in_a_task_of_their_own(pipeline, spans):
    """wait_for, which runs get in another task before 3.12, keeps the journey."""
    a, b = _pair(pipeline)

    async def main():
        q = pipeline.queue(asyncio.Queue(), "q")
        for number in range(3):
            await q.put(a(Event(number)))
        for _ in range(3):
            event = await asyncio.wait_for(q.get(), 5)
            b(event)

    asyncio.run(main())
    assert _traces(spans) == [FLAT] * 3


def test_a_task_for_each_event(pipeline, spans):
    """Tasks made for one event each, while the loop goes on, keep journeys apart."""
    a, b = _pair(pipeline)

    async def main():
        q = pipeline.queue(asyncio.Queue(), "q")

        async def handle(event):
            await asyncio.sleep(0)
            b(event)

        for number in range(5):
            await q.put(a(Event(number)))
        tasks = [asyncio.create_task(handle(await q.get())) for _ in range(5)]
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert _traces(spans) == [FLAT] * 5
    assert pipeline.stats()["journeys"]["count"] == 5


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_across_processes(pipeline, spans, method):
    """A journey goes through a child that hands the event on, and comes back."""
    a, b = _pair(pipeline)
    methods = multiprocessing.get_context(method)
    inbox = pipeline.queue(methods.Queue(), "in")
    outbox = pipeline.queue(methods.Queue(), "out")
    child = methods.Process(
        target=children.relay_by_methods, args=(inbox.get, outbox.put)
    )
    child.start()
    for number in range(3):
        inbox.put(a(children.Event(number)))
    inbox.put(None)
    for _ in range(3):
        b(outbox.get(timeout=20))
    child.join(20)
    assert _traces(spans) == [FLAT] * 3


def test_across_a_thread_pool(pipeline, spans):
    """A task belongs to the journey of the event it was submitted for."""
    a, b = _pair(pipeline)
    with pipeline.pool(ThreadPoolExecutor(2), "pool") as pool:
        for number in range(3):
            pool.submit(b, a(Event(number)))
    assert _traces(spans) == [FLAT] * 3


def test_a_task_that_is_no_stage(pipeline, spans):
    """A plain function's task is a span of the pool's name, stages in it nest."""
    a, b = _pair(pipeline)
    with pipeline.pool(ThreadPoolExecutor(1), "pool") as pool:
        pool.submit(lambda event: (b(event),), a(Event(1)))
    assert _traces(spans) == [
        sorted(
            [
                FLAT[0],
                FLAT[1],
                ("process pool", "ingest unit"),
                ("process b", "process pool"),
            ]
        )
    ]


def test_across_a_process_pool(pipeline, spans):
    """The task in the worker process has the journey of its event."""
    a, _ = _pair(pipeline)
    methods = multiprocessing.get_context("fork")
    with pipeline.pool(ProcessPoolExecutor(1, mp_context=methods), "pool") as pool:
        for number in range(2):
            found = pool.submit(children.current_trace, a(children.Event(number)))
            origin = spans.named("process a")[-1].context.trace_id
            assert found.result(30) == origin


def test_a_generator_source_begins_a_journey_for_each_item(pipeline, spans):
    """Each item has a journey of its own, also where it goes through a queue."""
    _, b = _pair(pipeline)
    q = pipeline.queue(queue.Queue(), "q")

    @pipeline.stage
    def read(number):
        yield from (Event(one) for one in range(number))

    for event in read(3):
        assert not trace.get_current_span().get_span_context().is_valid
        q.put(event)

    def consume():
        for _ in range(3):
            b(q.get())

    _in_thread(consume)
    expected = [
        ("ingest unit", None),
        ("process b", "ingest unit"),
        ("process read", "ingest unit"),
    ]
    assert _traces(spans) == [expected] * 3


def test_batches_link(pipeline, spans):
    """A call that takes several events is in one journey and links the others."""
    a, b = _pair(pipeline)
    q = pipeline.queue(queue.Queue(), "q")
    for number in range(4):
        q.put(a(Event(number)))
    origins = {span.context.trace_id for span in spans.named("process a")}
    _in_thread(lambda: b([q.get() for _ in range(4)]))
    (batch,) = spans.named("process b")
    linked = [link.context.trace_id for link in batch.links]
    assert len(linked) == 3
    assert {batch.context.trace_id, *linked} == origins
    assert batch.attributes["stagelight.batch.size"] == 4
    assert pipeline.stats()["journeys"]["count"] == 4


def test_fan_out_shares_the_journey_up_to_a_bound(pipeline, spans):
    """Parts of one event share its journey; after many of them new ones begin."""
    q = pipeline.queue(queue.Queue(), "q")
    _, b = _pair(pipeline)
    split = pipeline.stage(
        lambda event: [q.put(Event(n)) for n in range(FAN_OUT + 10)], name="split"
    )

    def consume():
        for _ in range(FAN_OUT + 10):
            b(q.get())

    split(Event(0))
    _in_thread(consume)
    origin = spans.named("process split")[0].context.trace_id
    ends = spans.named("process b")
    same = [span for span in ends if span.context.trace_id == origin]
    assert len(same) >= FAN_OUT
    root = spans.named("ingest unit")[0].context.span_id
    assert {span.parent.span_id for span in same[:FAN_OUT]} == {root}
    assert pipeline.stats()["journeys"]["count"] == FAN_OUT + 10


def test_workers_inherit_no_stale_parent(pipeline, spans):
    """A worker that was started inside a span is not its child for ever."""
    a, b = _pair(pipeline)
    q = pipeline.queue(queue.Queue(), "q")

    def consume():
        while (event := q.get()) is not None:
            b(event)

    with spans.tracer.start_as_current_span("start-up"):
        stale = context.get_current()

        def inherit():
            context.attach(stale)  # as contrib's threading instrumentation does
            consume()

        thread = threading.Thread(target=inherit)
        thread.start()
    for number in range(3):
        q.put(a(Event(number)))
    q.put(None)
    thread.join(10)
    assert _traces(spans) == [[("start-up", None)], *[FLAT] * 3] or _traces(spans) == [
        *[FLAT] * 3,
        [("start-up", None)],
    ]


def test_tasks_inherit_no_stale_parent(pipeline, spans):
    """A consumer task that was created inside a span is not its child for ever."""
    a, b = _pair(pipeline)

    async def main():
        q = pipeline.queue(asyncio.Queue(), "q")

        async def consume():
            while (event := await q.get()) is not None:
                b(event)

        with spans.tracer.start_as_current_span("start-up"):
            task = asyncio.create_task(consume())
        for number in range(3):
            await q.put(a(Event(number)))
        await q.put(None)
        await task

    asyncio.run(main())
    assert sorted(_traces(spans), key=len) == [[("start-up", None)], *[FLAT] * 3]


def test_a_span_of_the_users_own_is_the_parent(pipeline, spans):
    """A span that was opened after the fetch is the stage's parent, linked to it."""
    a, b = _pair(pipeline)
    q = pipeline.queue(queue.Queue(), "q")
    q.put(a(Event(1)))

    def consume():
        event = q.get()
        with spans.tracer.start_as_current_span("own"):
            b(event)

    _in_thread(consume)
    (stage,) = spans.named("process b")
    (own,) = spans.named("own")
    (origin,) = spans.named("ingest unit")
    assert stage.parent.span_id == own.context.span_id
    assert [link.context.span_id for link in stage.links] == [origin.context.span_id]


def test_a_stage_in_a_users_span_begins_no_journey(pipeline, spans):
    """A stage that is called in a request is part of the request."""
    a, b = _pair(pipeline)
    q = pipeline.queue(queue.Queue(), "q")
    with spans.tracer.start_as_current_span("request"):
        q.put(a(Event(1)))
    _in_thread(lambda: b(q.get()))
    assert _traces(spans) == [
        [("process a", "request"), ("process b", "request"), ("request", None)]
    ]


def test_baggage_travels(pipeline, spans):
    """Baggage that was set where the event entered is there in a later stage."""
    q = pipeline.queue(queue.Queue(), "q")
    seen = []
    look = pipeline.stage(
        lambda event: seen.append(baggage.get_baggage("user")), name="look"
    )
    a, _ = _pair(pipeline)
    token = context.attach(baggage.set_baggage("user", "me"))
    try:
        q.put(a(Event(1)))
    finally:
        context.detach(token)
    _in_thread(lambda: look(q.get()))
    assert seen == ["me"]


def test_an_explicit_journey(pipeline, spans):
    """Everything inside journey() is one journey, and nothing outside of it."""
    a, b = _pair(pipeline)
    for number in range(2):
        with pipeline.journey(number):
            a("text")
            b("another text")
    a(Event(3))
    assert _traces(spans) == sorted([FLAT, FLAT, FLAT[:2]])
    assert pipeline.stats()["journeys"]["count"] == 2


def test_an_explicit_journey_takes_the_fetched_event(pipeline, spans):
    """Of several fetched events, journey() takes the one it is told."""
    a, b = _pair(pipeline)
    q = pipeline.queue(queue.Queue(), "q")
    for number in range(3):
        q.put(a(Event(number)))
    origins = [span.context.trace_id for span in spans.named("process a")]

    def consume():
        events = [q.get() for _ in range(3)]
        for event in events:
            with pipeline.journey(event):
                b(str(event.id))

    _in_thread(consume)
    assert [span.context.trace_id for span in spans.named("process b")] == origins
    assert all(not span.links for span in spans.named("process b"))
    assert pipeline.stats()["journeys"]["count"] == 3


def test_explicit_journeys_in_tasks(pipeline, spans):
    """Tasks that overlap have explicit journeys of their own."""
    a, b = _pair(pipeline)

    async def main():
        async def work(number):
            with pipeline.journey(number):
                a("text")
                await asyncio.sleep(0)
                b("another")

        await asyncio.gather(*(work(number) for number in range(5)))

    asyncio.run(main())
    assert _traces(spans) == [FLAT] * 5
    assert pipeline.stats()["journeys"]["count"] == 5


def test_head_sampling(pipeline, spans, monkeypatch):
    """A journey beyond the budget has ids for its logs, and exports nothing."""
    TRACER.configure(spans.provider, 1)
    monkeypatch.setattr(TRACER, "budget", _tracer.Budget(0.001))
    q = pipeline.queue(queue.Queue(), "q")
    seen = []

    def note(event):
        seen.append(trace.get_current_span().get_span_context())
        return event

    a, b = pipeline.stage(note, name="a"), pipeline.stage(note, name="b")
    for number in range(3):
        q.put(a(Event(number)))

    def consume():
        for _ in range(3):
            b(q.get())

    _in_thread(consume)
    assert _traces(spans) == [FLAT]
    assert all(one.is_valid for one in seen)
    assert [one.trace_flags.sampled for one in seen] == [True, False, False] * 2
    assert [one.trace_id for one in seen[:3]] == [one.trace_id for one in seen[3:]]
    assert len({one.span_id for one in seen}) == 6


def test_the_budget_is_a_rate():
    """The bucket gives its tokens at the rate it was made for, whatever was asked."""
    budget = _tracer.Budget(10)
    taken = sum(budget.take(ms * 1_000_000) for ms in range(10_000))
    assert 100 <= taken <= 111


@pytest.mark.parametrize(
    ("sampler", "exported"), [("always_off", 0), ("always_on", 80)]
)
def test_the_sdks_sampler_decides(sampler, exported):
    """With OTEL_TRACES_SAMPLER set, the SDK decides, and no budget does."""
    program = """
import stagelight
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
stage = stagelight.Pipeline("p").stage(lambda event: object(), name="early")
stage(object())
trace.set_tracer_provider(provider)
stage = stagelight.Pipeline("p").stage(lambda event: object(), name="late")
for number in range(40):
    stage(object())
print(len(exporter.get_finished_spans()))
"""
    environment = {**os.environ, "OTEL_TRACES_SAMPLER": sampler}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == [str(exported)]


def test_tracing_is_switched_on_later(pipeline, spans, monkeypatch):
    """A provider that is set later is found by the next thread that calls a stage."""
    a, _ = _pair(pipeline)
    TRACER.configure(TracerProvider(shutdown_on_exit=False), 0)
    a(Event(1))
    assert not TRACER.on
    monkeypatch.setattr(TRACER, "enabled", True)
    TRACER.provider = spans.provider
    _in_thread(a, Event(2))
    assert TRACER.on
    a(Event(3))
    assert _traces(spans) in ([FLAT[:2]] * 2, [FLAT[:2]])
    assert len(_traces(spans)) == 2 or spans.named("process a")
