"""How calls are counted: outcomes, error types, drops, retries, what is in flight."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue

import pytest

import stagelight
from stagelight import _outcomes

SEVERAL = {
    "ValueError": ValueError("x"),
    "KeyError": KeyError("x"),
}


class Custom(Exception):
    class Nested(Exception):
        pass


def stage_of(pipeline, name="stage"):
    """The document of one stage."""
    return pipeline.stats()["stages"][name]


@pytest.fixture
def raising(pipeline):
    """A stage that raises its event."""

    @pipeline.stage(name="stage")
    def stage(event):
        raise event

    return stage


@pytest.mark.parametrize(
    ("error", "outcome", "error_type"),
    [
        (ValueError("x"), "failure", "ValueError"),
        (Custom(), "failure", f"{__name__}.Custom"),
        (Custom.Nested(), "failure", f"{__name__}.Custom.Nested"),
        (StopIteration(1), "failure", "StopIteration"),
        (queue.Full(), "refused", "queue_full"),
        (asyncio.QueueFull(), "refused", "queue_full"),
        (TimeoutError(), "timeout", "TimeoutError"),
        (concurrent.futures.CancelledError(), "cancelled", None),
        (asyncio.CancelledError(), "cancelled", None),
        (KeyboardInterrupt(), "cancelled", None),
        (SystemExit(2), "cancelled", None),
        (GeneratorExit(), "cancelled", None),
        (MemoryError(), "failure", "MemoryError"),
        (BaseException("x"), "failure", "BaseException"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_exception_has_its_outcome(error, outcome, error_type, raising, pipeline):
    """It passes unchanged, and is counted once under its outcome and type."""
    with pytest.raises(type(error)) as caught:
        raising(error)
    assert caught.value is error
    stage = stage_of(pipeline)
    assert (stage["count"], stage["outcomes"], stage["errors"], stage["active"]) == (
        1,
        {outcome: 1},
        {error_type: 1} if error_type else {},
        0,
    )


def test_subclasses_have_their_bases_outcome(raising, pipeline):
    """An application's own timeout or refusal is one."""

    class Slow(TimeoutError):
        pass

    class Rejected(queue.Full):
        pass

    for error in (Slow(), Rejected(), asyncio.TimeoutError()):
        with pytest.raises(type(error)):
            raising(error)
    assert stage_of(pipeline)["outcomes"] == {"timeout": 2, "refused": 1}


def test_at_most_32_error_types_then_other(raising, pipeline):
    """The 33rd type and later ones share ``_OTHER``; the first 32 keep their names."""
    kinds = [type(f"Error{number:02}", (Exception,), {}) for number in range(40)]
    for kind in (*kinds, *kinds):
        with pytest.raises(kind):
            raising(kind())
    expected = {f"{__name__}.Error{number:02}": 2 for number in range(32)}
    assert stage_of(pipeline)["errors"] == {**expected, "_OTHER": 16}


def test_classes_of_one_name_are_one_error_type(raising, pipeline):
    """Exception classes made at run time do not use up the bound."""
    for _ in range(50):
        with pytest.raises(Exception, match="same"):
            raising(type("Same", (Exception,), {})("same"))
    with pytest.raises(ValueError, match="x"):
        raising(ValueError("x"))
    assert stage_of(pipeline)["errors"] == {f"{__name__}.Same": 50, "ValueError": 1}


def test_strange_exception_classes_are_counted(raising, pipeline):
    """A class that cannot be hashed or whose text cannot be made is still counted."""

    class Meta(type):
        def __eq__(cls, other):
            return cls is other

        __hash__ = None

    class Unhashable(Exception, metaclass=Meta):
        pass

    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no text")

        __repr__ = __str__

    class Homeless(Exception):
        __module__ = None

    for error in (Unhashable(), Mute(), Homeless()):
        with pytest.raises(type(error)) as caught:
            raising(error)
        assert caught.value is error
    stage = stage_of(pipeline)
    assert (stage["count"], stage["outcomes"], sum(stage["errors"].values())) == (
        3,
        {"failure": 3},
        3,
    )


def test_classes_are_not_kept(raising):
    """What is remembered of an exception class does not keep it alive."""
    import gc
    import weakref

    def fail():
        class Local(Exception):
            pass

        with pytest.raises(Local):
            raising(Local())
        return weakref.ref(Local)

    refs = [fail() for _ in range(3)]
    gc.collect()
    assert [ref() for ref in refs] == [None] * 3
    assert len(_outcomes._KNOWN) < 1024


def test_drop_counts_by_reason(pipeline):
    """A call that drops its event returns as ever, with the outcome dropped."""

    @pipeline.stage(name="stage")
    def stage(event):
        if event % 2:
            stagelight.drop("odd")
            return None
        if event == 4:
            stagelight.drop("lost", intentional=False)
        return event

    assert [stage(event) for event in range(5)] == [0, None, 2, None, 4]
    document = stage_of(pipeline)
    assert (
        document["count"],
        document["outcomes"],
        document["dropped"],
        document["produced"],
        document["errors"],
    ) == (5, {"success": 2, "dropped": 3}, {"odd": 2, "lost": 1}, 2, {})


def test_drop_is_about_the_stage_that_calls_it(pipeline):
    """Nested stages, before and after the drop, keep their own outcomes."""

    @pipeline.stage(name="inner")
    def inner(event):
        return event

    @pipeline.stage(name="items")
    def items(event):
        yield event

    @pipeline.stage(name="dropping")
    def dropping(event):
        stagelight.drop("inside")

    @pipeline.stage(name="outer")
    def outer(event):
        dropping(event)
        inner(event)
        if event == "drop":
            stagelight.drop("outside")
        list(items(event))
        return inner(event)

    outer("keep")
    outer("drop")
    stages = pipeline.stats()["stages"]
    assert {name: s["outcomes"] for name, s in stages.items()} == {
        "inner": {"success": 4},
        "items": {"success": 2},
        "dropping": {"dropped": 2},
        "outer": {"success": 1, "dropped": 1},
    }
    assert stages["outer"]["dropped"] == {"outside": 1}


def test_drop_before_a_failure_is_a_failure(pipeline):
    """A call that drops and then raises failed, and the next call starts clean."""

    @pipeline.stage(name="stage")
    def stage(event):
        if event:
            stagelight.drop()
            raise ValueError(event)

    with pytest.raises(ValueError, match="1"):
        stage(1)
    stage(0)
    document = stage_of(pipeline)
    assert (document["outcomes"], document["dropped"]) == (
        {"success": 1, "failure": 1},
        {},
    )


def test_drop_in_coroutines_and_generators(pipeline):
    """The call or item that drops is counted so, across awaits and steps too."""

    @pipeline.stage(name="coroutine")
    async def coroutine(event):
        if event % 2:
            stagelight.drop("odd")
        await asyncio.sleep(0)
        return event

    @pipeline.stage(name="generator")
    def generator(event):
        for number in range(event):
            if number % 2:
                stagelight.drop("odd")
            yield number

    async def main():
        return await asyncio.gather(*(coroutine(number) for number in range(4)))

    assert asyncio.run(main()) == [0, 1, 2, 3]
    assert list(generator(3)) == [0, 1, 2]
    stages = pipeline.stats()["stages"]
    assert {name: s["outcomes"] for name, s in stages.items()} == {
        "coroutine": {"success": 2, "dropped": 2},
        "generator": {"success": 2, "dropped": 1},
    }


@pytest.mark.parametrize("reason", ["", "x" * 65, None, 3])
def test_drop_refuses_bad_reasons(reason):
    """A reason is a short text: it becomes a metric attribute."""
    with pytest.raises(stagelight.ConfigurationError, match="reason"):
        stagelight.drop(reason)


def test_retry_counts_repeated_attempts(pipeline):
    """Retries are counted beside the one call that they belong to."""

    @pipeline.stage(name="stage")
    def stage(event):
        for _ in range(event):
            stagelight.retry()
        return event

    @pipeline.stage(name="later")
    async def later(event):
        for _ in range(event):
            stagelight.retry()
            await asyncio.sleep(0)

    assert [stage(event) for event in (0, 2, 1)] == [0, 2, 1]
    asyncio.run(later(3))
    assert [
        (s["count"], s["retries"]) for s in pipeline.stats()["stages"].values()
    ] == [
        (3, 3),
        (1, 3),
    ]


def test_in_flight_counts_every_open_call(pipeline):
    """Nested and recursive calls are in flight until each has ended."""
    seen = []

    def look():
        stages = pipeline.stats()["stages"]
        seen.append({name: s["active"] for name, s in stages.items()})

    @pipeline.stage(name="outer")
    def outer(event):
        look()
        try:
            recursive(event)
        except ValueError:
            look()

    @pipeline.stage(name="recursive")
    def recursive(event):
        look()
        if event:
            recursive(event - 1)
            look()
        raise ValueError(event)

    outer(1)
    look()
    assert seen == [
        {"outer": 1, "recursive": 0},
        {"outer": 1, "recursive": 1},
        {"outer": 1, "recursive": 2},
        {"outer": 1, "recursive": 0},
        {"outer": 0, "recursive": 0},
    ]


def test_error_rate_and_rates(pipeline, clock):
    """The share of errors, and calls per second over whole seconds."""

    @pipeline.stage(name="stage")
    def stage(event):
        if event % 4 == 0:
            raise ValueError(event)

    for event in range(20):
        clock.advance(0.5)
        with contextlib.suppress(ValueError):
            stage(event)
    document = stage_of(pipeline)
    assert (document["error_rate"], document["rates"]["s10"]) == (0.25, 2.0)
