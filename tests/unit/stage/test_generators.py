"""Generator stages: lazy, and driven exactly as without the observer."""

from __future__ import annotations

import contextlib
import gc
import inspect
import sys
import threading
import traceback
import weakref

import pytest


def numbers(pipeline):
    """Count, produced, outcomes and in flight of the stage ``gen``."""
    stage = pipeline.stats()["stages"]["gen"]
    return stage["count"], stage["produced"], stage["outcomes"], stage["active"]


def script(log):
    """A generator function that logs all that happens to it."""

    def gen(event):
        log.append(("started", event))
        try:
            while True:
                try:
                    log.append(("got", (yield event)))
                except KeyError as error:
                    log.append(("caught", error, error.__context__))
                    event += 1
                    if event > 3:
                        return "done"
        finally:
            log.append(("finally",))

    return gen


def drive(function, log):
    """One conversation with a generator; what came out of it."""
    seen = []
    it = function(1)
    seen.append(inspect.getgeneratorstate(it))
    seen.append(next(it))
    seen.append(it.send("sent"))
    key = KeyError("thrown")
    seen.append(it.throw(key))
    try:
        it.send(None)
        it.throw(KeyError("a"))
        it.throw(KeyError("b"))
    except StopIteration as stop:
        seen.append(("value", stop.value, stop.__context__))
    try:
        next(it)
    except StopIteration as stop:
        seen.append(("after", stop.value))
    return [
        seen,
        [tuple(repr(part) for part in entry) for entry in log],
    ]


def test_send_throw_and_return_value(pipeline):
    """A whole conversation goes as with the bare generator."""
    bare, observed = [], []
    expected = drive(script(bare), bare)
    assert drive(pipeline.stage(script(observed)), observed) == expected
    assert numbers(pipeline) == (5, 5, {"success": 5}, 0)


def test_is_lazy(pipeline):
    """Nothing runs before the first next, and each step only up to its yield."""
    ran = []

    @pipeline.stage
    def gen(events):
        for event in events:
            ran.append(event)
            yield event

    it = gen([1, 2, 3])
    assert ran == []
    assert next(it) == 1
    assert ran == [1]
    it.close()
    gen([4])
    assert ran == [1]
    assert numbers(pipeline) == (1, 1, {"success": 1}, 0)


@pytest.mark.parametrize("how", ["close", "break", "abandon", "garbage"])
def test_leaving_early_runs_the_generators_finally(how, pipeline):
    """close(), break, losing the last reference and a cycle all finish it."""
    left = []

    @pipeline.stage
    def gen(event):
        try:
            yield event
            yield event
        finally:
            left.append(sys.exc_info()[0])

    it = gen(1)
    next(it)
    if how == "close":
        it.close()
    elif how == "break":
        for _ in gen(1):
            break
        it.close()
        left.pop()
    elif how == "abandon":
        del it
    else:
        cycle = [it]
        cycle.append(cycle)
        del it, cycle
        gc.collect()
    assert left == [GeneratorExit]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="close() returns since 3.13")
def test_close_returns_the_generators_value(pipeline):
    """A generator that returns when it is closed hands that value to close()."""

    @pipeline.stage
    def gen(event):
        try:
            yield event
        except GeneratorExit:
            return "closed"

    it = gen(1)
    next(it)
    assert it.close() == "closed"


def test_a_generator_that_ignores_its_close(pipeline):
    """Yielding instead of ending is the same RuntimeError."""

    @pipeline.stage
    def gen(event):
        while True:
            try:
                yield event
            except GeneratorExit:
                if event == "stubborn":
                    event = "done"
                else:
                    raise

    it = gen("stubborn")
    next(it)
    with pytest.raises(RuntimeError, match=r"^generator ignored GeneratorExit$"):
        it.close()
    it.close()


def test_delegation_by_yield_from(pipeline):
    """``yield from`` an observed generator passes values both ways."""

    @pipeline.stage
    def gen(event):
        got = yield event
        return ("returned", got)

    def outer():
        return (yield from gen(1))

    it = outer()
    assert next(it) == 1
    with pytest.raises(StopIteration) as stop:
        it.send("x")
    assert stop.value.value == ("returned", "x")


def test_errors_pass_with_the_users_frame_last(pipeline):
    """The same exception, raised in the generator; StopIteration inside is refused."""
    problem = ValueError("second")

    @pipeline.stage
    def gen(event):
        yield event
        if event == "stop":
            raise StopIteration  # noqa: PLR1708 - what a careless user writes
        raise problem

    it = gen(1)
    next(it)
    with pytest.raises(ValueError, match="second") as caught:
        next(it)
    assert caught.value is problem
    assert problem.__context__ is None
    names = [frame.name for frame in traceback.extract_tb(problem.__traceback__)]
    assert names[1:] == ["wrapper", "gen"]
    with pytest.raises(RuntimeError, match="generator raised StopIteration"):
        list(gen("stop"))
    assert list_numbers(pipeline) == (4, {"ValueError": 1, "RuntimeError": 1})


def list_numbers(pipeline):
    """Count and errors of the stage ``gen``."""
    stage = pipeline.stats()["stages"]["gen"]
    return stage["count"], stage["errors"]


def test_an_exception_from_a_later_step_has_no_foreign_context(pipeline):
    """What was thrown in and handled is not the context of a later error."""

    def gen(event):
        with contextlib.suppress(KeyError):
            yield 1
        yield 2
        raise ValueError("later")

    contexts = []
    for function in (gen, pipeline.stage(gen)):
        it = function(0)
        next(it)
        it.throw(KeyError("thrown"))
        with pytest.raises(ValueError, match="later") as caught:
            next(it)
        contexts.append(caught.value.__context__)
    assert contexts == [None, None]


def test_steps_on_several_threads(pipeline):
    """A generator may be stepped by one thread after another."""

    @pipeline.stage
    def gen(event):
        while True:
            yield threading.get_ident()

    it = gen(1)
    seen = [next(it)]
    for _ in range(3):
        thread = threading.Thread(target=lambda: seen.append(next(it)))
        thread.start()
        thread.join()
    it.close()
    assert len(seen) == 4
    assert seen[0] == threading.get_ident()
    assert numbers(pipeline) == (4, 4, {"success": 4}, 0)


def test_in_flight_only_while_it_runs(pipeline):
    """A suspended generator is not in flight, a running one is, also when nested."""
    seen = []

    @pipeline.stage
    def gen(event):
        seen.append(numbers(pipeline)[3])
        yield event
        seen.append(numbers(pipeline)[3])

    @pipeline.stage
    def caller(event):
        seen.append(numbers(pipeline)[3])
        result = list(gen(event))
        seen.append(numbers(pipeline)[3])
        return result

    caller(1)
    assert seen == [0, 1, 1, 0]


def test_keeps_nothing_that_was_sent_thrown_or_yielded(pipeline):
    """While it is suspended, only the generator itself holds what passed through."""

    class Thing:
        pass

    class Problem(Exception):
        pass

    @pipeline.stage
    def gen(event):
        while True:
            with contextlib.suppress(Problem):
                yield Thing()

    gc.disable()
    try:
        it = gen(1)
        refs = [weakref.ref(next(it))]
        sent = Thing()
        refs.append(weakref.ref(sent))
        refs.append(weakref.ref(it.send(sent)))
        problem = Problem()
        refs.append(weakref.ref(problem))
        refs.append(weakref.ref(it.throw(problem)))
        del sent, problem
        assert [ref() for ref in refs] == [None] * 5
    finally:
        gc.enable()
