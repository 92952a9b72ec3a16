"""Threads that the application starts, and what they go on with."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import wrapt
from opentelemetry import context as otel_context
from opentelemetry import trace

import stagelight
from stagelight.instrumentation import _threads

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = {
    name: threading.Thread.__dict__[name] for name in ("start", "_bootstrap_inner")
}


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    _threads.install()
    yield
    _threads.uninstall()
    assert {name: threading.Thread.__dict__[name] for name in PLAIN} == PLAIN


class Own(threading.Thread):
    """Overrides what a thread runs."""

    def __init__(self, work: Any) -> None:
        super().__init__()
        self.work = work

    def run(self) -> None:
        self.work()


KINDS = {
    "thread": lambda work: threading.Thread(target=work),
    "subclass": Own,
    "timer": lambda work: threading.Timer(0, work),
}


def ran(thread: threading.Thread) -> None:
    """Run a thread to its end."""
    thread.start()
    thread.join(10)


@pytest.mark.parametrize("kind", KINDS)
def test_context(kind, pipeline, spans):
    """The context of who starts a thread is current in it, whatever it runs."""
    stage = pipeline.stage(lambda event: event, name="work")
    seen = []

    def work():
        seen.append(otel_context.get_value("key"))
        stage(1)

    with spans.tracer.start_as_current_span("run"):
        token = otel_context.attach(otel_context.set_value("key", "value"))
        ran(KINDS[kind](work))
        otel_context.detach(token)
    assert seen == ["value"]
    assert spans.tree() == [("process work", "run"), ("run", None)]


def test_an_event_goes_on(pipeline, spans):
    """A stage that hands its event to a thread has what follows in its own trace."""
    store = pipeline.stage(lambda event: event, name="store")
    ready, threads = threading.Event(), []

    def late():
        ready.wait(10)
        store("later")

    @pipeline.stage
    def receive(event):
        threads.append(Own(late))
        threads[-1].start()
        return event

    receive(1)
    ready.set()  # the span of its starter is over by now
    threads[0].join(10)
    assert spans.tree() == [
        ("ingest unit", None),
        ("process receive", "ingest unit"),
        ("process store", "ingest unit"),
    ]


@pytest.mark.usefixtures("spans")
def test_a_helper_takes_no_event_away(pipeline):
    """An event is through, though its stage started a thread for something else."""
    inbox = pipeline.queue(queue.Queue(), "inbox")

    @pipeline.stage
    def work(_event):
        ran(threading.Timer(0, int))

    inbox.put("a")
    work(inbox.get())
    stagelight.force_flush()
    assert pipeline.stats()["journeys"]["count"] == 1


def test_no_stale_parent(pipeline, spans):
    """A thread that outlives the span it was started in has journeys of its own."""
    stage = pipeline.stage(lambda event: event, name="work")
    ready = threading.Event()

    def loop():
        ready.wait(10)
        for number in range(2):
            stage(str(number))

    with spans.tracer.start_as_current_span("start"):
        thread = threading.Thread(target=loop)
        thread.start()
    ready.set()
    thread.join(10)
    (start,) = spans.named("start")
    works = spans.named("process work")
    assert len({start.context.trace_id, *(one.context.trace_id for one in works)}) == 3
    assert [link.context.span_id for one in works for link in one.links] == [
        start.context.span_id
    ] * 2


def test_a_worker_takes_each_item_as_it_comes(pipeline, spans):
    """What a worker fetches is on the item's own journey, not on its starter's."""
    stage = pipeline.stage(lambda event: event, name="work")
    inbox = pipeline.queue(queue.Queue(), "inbox")

    def loop():
        while (item := inbox.get()) is not None:
            stage(item)

    with spans.tracer.start_as_current_span("start"):
        thread = Own(loop)
        thread.start()
        for item in ("a", None):
            with spans.tracer.start_as_current_span(f"put {item}"):
                inbox.put(item)
        thread.join(10)
    assert ("process work", "put a") in spans.tree()


def test_a_pools_workers_inherit_nothing(spans):
    """Threads that a library starts for itself are its own business."""
    with spans.tracer.start_as_current_span("first"), ThreadPoolExecutor(1) as pool:
        current = pool.submit(trace.get_current_span).result(10)
    assert not current.get_span_context().is_valid


@pytest.mark.parametrize("kind", KINDS)
def test_beside_contrib(kind, spans, monkeypatch):
    """Where contrib's instrumentor makes the context current, we do not once more."""

    def start(wrapped, instance, args, kwargs):
        instance._otel_context = otel_context.get_current()
        return wrapped(*args, **kwargs)

    attached = []
    monkeypatch.setattr(
        threading.Thread, "start", wrapt.FunctionWrapper(threading.Thread.start, start)
    )
    monkeypatch.setattr(_threads, "inherit", lambda _, attached: kinds.append(attached))
    kinds: list[bool] = attached
    with spans.tracer.start_as_current_span("run"):
        ran(KINDS[kind](int))
    assert kinds == [kind != "subclass"]
    monkeypatch.undo()
