"""Generators and coroutines whose steps C takes behave and count as without it."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from stagelight import _compiled, _workers
from stagelight._deferred import Deferred
from stagelight._extension import NATIVE
from stagelight._slots import NEVER
from stagelight._tracer import TRACER

pytestmark = pytest.mark.skipif(
    not _compiled.BOUND, reason="stagelight._native is not built or not wanted"
)


class Event:
    """Weakly referable."""


@pytest.fixture(params=["metrics only", "default"])
def any_mode(request, pipeline):
    """Without traces, and outside of the head sample."""
    if request.param == "default":
        TRACER.configure(TracerProvider(shutdown_on_exit=False), 1.0)
        TRACER.due = TRACER.budget.due = NEVER
    return pipeline


def stage(pipeline, name="work"):
    """What stats() says of a stage."""
    return pipeline.stats()["stages"][name]


def nothing_is_open():
    """Whether this thread has no call open, and no context of ours."""
    worker = _workers.this_worker()
    return (
        not worker.slot.since
        and not trace.get_current_span().get_span_context().is_valid
    )


def test_every_way_through_a_generator(any_mode):
    """Send, throw, return and close do what they do to the generator itself."""

    def work(event):
        got = []
        while len(got) < 4:
            try:
                got.append((yield len(got)))
            except ValueError as error:
                got.append((str(error), error.__context__))
        return got

    def drive(function):
        generator = function({})
        seen = [next(generator), generator.send("a"), generator.throw(ValueError("b"))]
        seen.append(next(generator))
        try:
            generator.send("c")
        except StopIteration as stop:
            seen.append(stop.value)
        seen.append(next(generator, "over"))
        return seen

    assert drive(any_mode.stage(work, name="work")) == drive(work)
    assert stage(any_mode)["count"] == 4
    assert nothing_is_open()


@pytest.mark.parametrize("answer", ["exit", "yield", "raise", "return"])
def test_closing_a_generator(any_mode, answer):
    """What it does when it is closed reaches whoever closes it."""

    def work(event):
        try:
            yield event
        except GeneratorExit:
            if answer == "yield":
                yield "no"
            if answer == "raise":
                raise LookupError from None
            if answer == "return":
                return 5
            raise

    def close(function):
        generator = function({})
        next(generator)
        try:
            return generator.close()
        except Exception as error:  # noqa: BLE001
            return type(error), str(error)

    def throw(function):
        generator = function({})
        next(generator)
        try:
            return generator.throw(GeneratorExit())
        except BaseException as error:  # noqa: BLE001
            return type(error), str(error)

    observed = any_mode.stage(work, name="work")
    assert close(observed) == close(work)
    assert throw(observed) == throw(work)
    assert nothing_is_open()


def test_a_generator_is_lazy_and_keeps_nothing(any_mode):
    """Nothing runs before the first item, and items are free while it is suspended."""
    began = []

    def work(event):
        began.append(event)
        while True:
            yield Event()

    generator = any_mode.stage(work, name="work")("x")
    assert began == []
    item = next(generator)
    ref = weakref.ref(item)
    del item
    assert ref() is None
    sent = Event()
    ref = weakref.ref(sent)
    generator.send(sent)
    del sent
    gc.collect()
    assert ref() is None
    generator.close()


def test_a_generator_that_fails(any_mode):
    """The failure is counted once, passes through, and leaves nothing open."""

    def work(event):
        yield 1
        raise ValueError(event)

    generator = any_mode.stage(work, name="work")("x")
    assert next(generator) == 1
    with pytest.raises(ValueError, match="x") as caught:
        next(generator)
    names = [one.name for one in caught.traceback]
    assert names[-1] == "work"
    assert names.count("wrapper") <= 1
    assert stage(any_mode)["outcomes"] == {"success": 1, "failure": 1}
    assert nothing_is_open()


def test_stop_iteration_in_a_generator(any_mode):
    """Raised inside it is a RuntimeError, thrown in as well."""

    def work(event):
        yield 1
        raise StopIteration  # noqa: PLR1708 - what happens to it is the point

    generator = any_mode.stage(work, name="work")({})
    next(generator)
    with pytest.raises(RuntimeError, match="StopIteration"):
        next(generator)
    generator = any_mode.stage(work, name="work")({})
    next(generator)
    with pytest.raises(RuntimeError, match="StopIteration"):
        generator.throw(StopIteration())


def test_a_generator_in_a_stage_and_a_stage_in_a_generator(any_mode):
    """Steps nest as calls do, and time is charged once."""
    inner = any_mode.stage(lambda event: event, name="inner")

    def items(count):
        for number in range(count):
            yield inner(number)

    items = any_mode.stage(items, name="items")
    outer = any_mode.stage(lambda count: list(items(count)), name="outer")
    assert outer(3) == [0, 1, 2]
    assert list(items(2)) == [0, 1]
    assert stage(any_mode, "items")["produced"] == 5
    assert stage(any_mode, "inner")["count"] == 5
    assert nothing_is_open()


def test_a_span_looked_at_in_a_generator(pipeline):
    """It is the item's own deferred one, and the next item has another."""
    TRACER.configure(TracerProvider(shutdown_on_exit=False), 1.0)
    TRACER.due = TRACER.budget.due = NEVER

    def items(count):
        for _ in range(count):
            yield trace.get_current_span()

    spans = list(pipeline.stage(items, name="items")(3))
    assert all(isinstance(span, Deferred) for span in spans)
    assert len({span.get_span_context().trace_id for span in spans}) == 3
    assert nothing_is_open()


def test_coroutines_that_end_at_once_and_later(any_mode):
    """Results, exceptions and counts, whether they wait or not."""

    async def work(event):
        if event > 1:
            await asyncio.sleep(0)
        if event % 2:
            raise ValueError(event)
        return [event]

    work = any_mode.stage(work, name="work")

    async def main():
        return await asyncio.gather(
            *(work(number) for number in range(6)), return_exceptions=True
        )

    found = asyncio.run(main())
    assert found[::2] == [[0], [2], [4]]
    assert [str(error) for error in found[1::2]] == ["1", "3", "5"]
    assert stage(any_mode)["outcomes"] == {"success": 3, "failure": 3}
    assert nothing_is_open()


def test_a_result_in_a_loop_of_coroutines_is_free(any_mode):
    """No event, result or awaitable outlives its call."""

    async def work(event):
        if event is None:
            await asyncio.sleep(0)
        return Event()

    work = any_mode.stage(work, name="work")

    async def main():
        refs = [weakref.ref(await work(event)) for event in (1, None, 2)]
        gc.collect()
        return [ref() for ref in refs]

    assert asyncio.run(main()) == [None, None, None]


def test_cancelled_in_its_first_wait(any_mode):
    """A cancellation reaches the coroutine where it waits, and is told as one."""
    reached = []

    async def work(event):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            reached.append(event)
            raise

    work = any_mode.stage(work, name="work")

    async def main():
        task = asyncio.create_task(work("x"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert reached == ["x"]
    assert stage(any_mode)["outcomes"] == {"cancelled": 1}
    assert nothing_is_open()


def test_overlapping_coroutines_have_their_own_spans(pipeline):
    """What waits keeps its context, whatever begins meanwhile."""
    TRACER.configure(TracerProvider(shutdown_on_exit=False), 1.0)
    TRACER.due = TRACER.budget.due = NEVER
    seen = {}

    async def work(event):
        seen.setdefault(event, []).append(trace.get_current_span().get_span_context())
        await asyncio.sleep(0)
        seen[event].append(trace.get_current_span().get_span_context())

    work = pipeline.stage(work, name="work")

    async def main():
        await asyncio.gather(*(work(number) for number in range(4)))

    asyncio.run(main())
    assert all(first == second for first, second in seen.values())
    assert len({first.span_id for first, _ in seen.values()}) == 4
    assert nothing_is_open()


def test_an_unawaited_coroutine_warns(any_mode):
    """Nothing runs before it is awaited, and Python says so if it never is."""

    async def work(event):
        """Never runs."""

    work = any_mode.stage(work, name="work")
    with pytest.warns(RuntimeWarning, match="never awaited"):
        del [work(1)][0]


def test_steps_refuse_nonsense():
    """What they are not made for is an error, not a crash."""
    with pytest.raises(TypeError):
        NATIVE.Items(1, 2, 3)
    taken = NATIVE.Coroutine(None, lambda: None)
    with pytest.raises(TypeError):
        taken()
    with pytest.raises(TypeError, match="slot"):
        taken(1, 2)
    with pytest.raises(TypeError, match="slot"):
        NATIVE.Call(len, lambda: None)(1, 2)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal since 3.12")
def test_the_count_of_none(any_mode):
    """What is put into slots again and again is counted right."""

    def items(count):
        yield from range(count)

    async def work(event):
        return event

    items, work = any_mode.stage(items, name="items"), any_mode.stage(work, name="work")

    async def main(count):
        for number in items(count):
            await work(number)

    asyncio.run(main(100))
    gc.collect()
    before = sys.getrefcount(None)
    asyncio.run(main(3_000))
    gc.collect()
    assert abs(sys.getrefcount(None) - before) < 500
