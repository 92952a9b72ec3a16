"""What an asyncio task works on, where C keeps it, is what Python would have it be."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import pickle
import sys
import weakref

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from stagelight import _compiled
from stagelight._current import CURRENT, Rested
from stagelight._extension import NATIVE
from stagelight._journey import TASK_TURN, Turn
from stagelight._slots import NEVER
from stagelight._tracer import TRACER

native = pytest.mark.skipif(
    not _compiled.BOUND, reason="stagelight._native is not built or not wanted"
)


@pytest.fixture
def untraced(pipeline):
    """Default mode outside of the head sample."""
    TRACER.configure(TracerProvider(shutdown_on_exit=False), 1.0)
    TRACER.due = TRACER.budget.due = NEVER
    return pipeline


def trace_id():
    """The trace that this place is in."""
    return trace.get_current_span().get_span_context().trace_id


def stages(pipeline, *, waiting=False):
    """Two coroutine stages: the trace they ran in, beside what they were given."""

    async def parse(event):
        if waiting:
            await asyncio.sleep(0)
        return [event, trace_id()]

    async def store(event):
        return [*event, trace_id()]

    return pipeline.stage(parse), pipeline.stage(store)


@pytest.mark.parametrize("waiting", [False, True])
def test_an_event_of_a_task_keeps_its_trace(untraced, waiting):
    """Each event has a trace of its own, the same in every stage it goes through."""
    parse, store = stages(untraced, waiting=waiting)

    async def main():
        return [await store(await parse(event)) for event in range(5)]

    found = asyncio.run(main())
    assert all(first == second != 0 for _, first, second in found)
    assert len({first for _, first, _ in found}) == 5


def test_a_task_begun_after_a_call_goes_on_with_that_event(untraced):
    """What the task before it does meanwhile is none of its business."""
    parse, store = stages(untraced)

    async def main():
        tasks = []
        for event in range(5):
            parsed = await parse(event)
            tasks.append(asyncio.create_task(store(parsed)))
        return await asyncio.gather(*tasks)

    found = asyncio.run(main())
    assert [first for _, first, _ in found] == [second for _, _, second in found]
    assert len({first for _, first, _ in found}) == 5


def test_tasks_of_one_event_share_its_journey(untraced):
    """Two stages that take one event side by side are in one trace."""

    async def parse(event):
        return [event]

    async def look(event):
        await asyncio.sleep(0)
        return trace_id()

    parse = untraced.stage(parse)
    one, other = untraced.stage(look, name="one"), untraced.stage(look, name="other")

    async def main():
        found = []
        for event in range(4):
            parsed = await parse(event)
            found.append(await asyncio.gather(one(parsed), other(parsed)))
        return found

    found = asyncio.run(main())
    assert all(first == second for first, second in found)
    assert len({first for first, _ in found}) == 4


@pytest.mark.parametrize("waiting", [False, True])
def test_items_of_an_asynchronous_generator_keep_their_traces(untraced, waiting):
    """Each item has a trace, which the next stage goes on with."""
    _, store = stages(untraced)

    async def items(number):
        for one in range(number):
            if waiting:
                await asyncio.sleep(0)
            yield [one, trace_id()]

    items = untraced.stage(items)

    async def main():
        return [await store(item) async for item in items(4)]

    found = asyncio.run(main())
    assert all(first == second != 0 for _, first, second in found)
    assert len({first for _, first, _ in found}) == 4


def test_an_event_fetched_within_a_call_is_the_task_s_next_one(untraced):
    """It takes the place of what the call itself was about."""
    waiting = untraced.queue(asyncio.Queue(), "waiting")
    parse, store = stages(untraced)

    async def fetch(event):
        return await waiting.get()

    fetch = untraced.stage(fetch)

    async def main():
        found = []
        for event in range(3):
            await waiting.put(await parse(event))
            found.append(await store(await fetch(None)))
        return found

    found = asyncio.run(main())
    assert all(first == second != 0 for _, first, second in found)
    assert untraced.stats()["stages"]["store"]["inputs"] == ["waiting"]


def test_failures_between_events(untraced):
    """What fails leaves nothing for the next event, and no context."""
    parse, store = stages(untraced)

    async def fail(event):
        raise ValueError(trace_id())

    fail = untraced.stage(fail)

    async def main():
        found = []
        for event in range(4):
            parsed = await parse(event)
            with pytest.raises(ValueError, match=f"^{parsed[1]}$"):
                await fail(parsed)
            assert trace_id() == 0
            found.append(await store([event, 0]))
            assert found[-1][2] != parsed[1]
        return found

    assert len({one[2] for one in asyncio.run(main())}) == 4


def test_without_a_loop_nothing_is_left_in_the_context(untraced):
    """A coroutine that is driven by hand leaves the context as it was."""
    parse, _ = stages(untraced)

    def drive():
        for event in range(3):
            with pytest.raises(StopIteration):
                parse(event).send(None)
        return list(contextvars.copy_context().items())

    before = [(CURRENT, value) for key, value in drive() if key is CURRENT]
    assert all(type(value) is not Rested for _, value in before)


@native
def test_what_a_light_call_leaves_is_an_empty_context(untraced):
    """Its task sees an empty context, as before; so does whoever copies it."""
    parse, _ = stages(untraced)

    async def main():
        for event in range(2):
            await parse(event)
        left = otel_context.get_current()
        assert type(left) is Rested
        for one in (left, copy.copy(left), pickle.loads(pickle.dumps(left))):
            assert one == otel_context.Context()
        assert type(copy.deepcopy(left)) is otel_context.Context
        token = otel_context.attach(otel_context.set_value("key", "value"))
        await parse(2)
        assert otel_context.get_value("key") == "value"
        otel_context.detach(token)
        assert otel_context.get_current() is left

    asyncio.run(main())


@native
def test_a_light_turn_is_as_any_turn(untraced):
    """It has what a turn has, and can be written to in the same way."""
    parse, _ = stages(untraced)

    async def main():
        await parse(0)
        result = await parse(1)
        return TASK_TURN.get(), id(result)

    turn, key = asyncio.run(main())
    assert type(turn) is NATIVE.LightTurn
    record = untraced.stage(parse).__stagelight_stage__
    plain = Turn(0, 0, record.pipeline, None)
    names = {name for name in dir(plain) if not name.startswith("__")}
    assert names <= set(dir(turn))
    assert (turn.key, turn.calls, turn.seen, turn.queue) == (key, 1, (record,), None)
    assert turn.pipeline is record.pipeline
    assert turn.slot.stage is record
    assert turn.began <= turn.ended
    assert turn.journey is turn.journey is turn.origin
    assert turn.journey.quiet
    for name in ("wait", "idle", "ambient", "forwarded", "batch", "within"):
        assert getattr(turn, name) == getattr(plain, name), name
    turn.key, turn.calls, turn.seen, turn.within = 0, 5, (), plain
    turn.idle += 1
    turn.forwarded, turn.outcome, turn.ended, turn.slot = True, "dropped", 0, None
    assert (turn.calls, turn.seen, turn.within, turn.idle) == (5, (), plain, 1)


@native
def test_cycles_through_a_turn_are_found(untraced):
    """A task's context that only its own turn refers to is collected."""
    parse, _ = stages(untraced)

    class Call:
        """Weakly referable."""

    async def main():
        for event in range(2):
            await parse(event)
        turn, call = TASK_TURN.get(), Call()
        turn.within, call.turn = call, turn
        return weakref.ref(call)

    gone = asyncio.run(main())
    gc.collect()
    assert gone() is None


@native
def test_a_turn_holds_more_stages_than_it_has_room_for(untraced):
    """From the fifth on Python does it, in the same trace."""
    chain = [untraced.stage(_collect(), name=f"stage-{number}") for number in range(9)]

    async def main():
        event = [0]
        for one in chain:
            event = await one(event)
        return event[1:], len(TASK_TURN.get().seen)

    found, seen = asyncio.run(main())
    assert len(set(found)) == 1
    assert seen == 9


def _collect():
    async def collect(event):
        return [*event, trace_id()]

    return collect


@native
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal since 3.12")
def test_the_count_of_none_in_tasks(untraced):
    """What is put into slots and contexts again and again is counted right."""
    parse, store = stages(untraced)

    async def items(number):
        for one in range(number):
            if one % 7 == 0:
                await asyncio.sleep(0)
            yield one

    items = untraced.stage(items)

    async def main(number):
        async for one in items(number):
            await store(await parse(one))

    asyncio.run(main(100))
    gc.collect()
    before = sys.getrefcount(None)
    asyncio.run(main(2_000))
    gc.collect()
    assert abs(sys.getrefcount(None) - before) < 500


def test_what_is_attached_between_two_stages_hides_nothing(untraced):
    """Baggage that a program attaches does not part an event's stages."""
    parse, _ = stages(untraced)

    async def store(event):
        return event[1], trace_id()

    store = untraced.stage(store, name="keep")

    async def main():
        found = []
        for event in range(4):
            parsed = await parse(event)
            token = otel_context.attach(otel_context.set_value("key", "value"))
            found.append(await store(parsed))
            otel_context.detach(token)
        return found

    found = asyncio.run(main())
    assert all(first == second != 0 for first, second in found)
