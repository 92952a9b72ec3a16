"""Every kind of thing that can be a stage, by every way to observe it."""

from __future__ import annotations

import asyncio
import functools
import inspect

import pytest

import stagelight


class Doubler:
    """A stage object."""

    def process(self, event):
        return event * 2


class Parser:
    """A class with one of every kind of method."""

    def __init__(self, base=1):
        self.base = base

    def bound(self, event):
        return event + self.base

    @classmethod
    def of_class(cls, event):
        return (cls.__name__, event)

    @staticmethod
    def static(event):
        return event - 1

    def __call__(self, event):
        return event * self.base


class AsyncParser:
    async def __call__(self, event):
        await asyncio.sleep(0)
        return event + 1


class Existing:
    def __init__(self, stages):
        self.stages = stages


def double(event):
    """Return twice the event."""
    return event * 2


async def double_later(event):
    """Return twice the event, a moment later."""
    await asyncio.sleep(0)
    return event * 2


def repeat(event, times=2):
    """Yield the event several times."""
    for _ in range(times):
        yield event


async def repeat_later(event, times=2):
    """Yield the event several times, a moment apart."""
    for _ in range(times):
        await asyncio.sleep(0)
        yield event


def run(result):
    """Whatever a stage's result stands for, as a plain value."""
    if inspect.isasyncgen(result):

        async def collect():
            return [item async for item in result]

        return asyncio.run(collect())
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    return list(result) if inspect.isgenerator(result) else result


def counts(pipeline):
    """Name -> count, produced, active, of each stage."""
    return {
        name: (stage["count"], stage["produced"], stage["active"])
        for name, stage in pipeline.stats()["stages"].items()
    }


KINDS = {
    "function": (double, (2,), "double", (1, 1)),
    "coroutine function": (double_later, (2,), "double_later", (1, 1)),
    "generator": (repeat, (2,), "repeat", (2, 2)),
    "async generator": (repeat_later, (2,), "repeat_later", (2, 2)),
    "bound method": (Parser(5).bound, (2,), "Parser.bound", (1, 1)),
    "class method": (Parser.of_class, (2,), "Parser.of_class", (1, 1)),
    "static method": (Parser.static, (2,), "Parser.static", (1, 1)),
    "partial": (functools.partial(repeat, times=3), (2,), "repeat", (3, 3)),
    "partial coroutine": (
        functools.partial(double_later, 2),
        (),
        "double_later",
        (1, 1),
    ),
    "partial method": (
        functools.partial(Parser(2).bound, 2),
        (),
        "Parser.bound",
        (1, 1),
    ),
    "partial object": (functools.partial(Parser(2), 2), (), "Parser", (1, 1)),
    "callable": (Parser(3), (2,), "Parser", (1, 1)),
    "async callable": (AsyncParser(), (2,), "AsyncParser", (1, 1)),
    "builtin": (len, ([1, 2],), "len", (1, 1)),
    "builtin method": ([3, 1].index, (1,), "list.index", (1, 1)),
    "method descriptor": (str.upper, ("a",), "str.upper", (1, 1)),
    "cached": (functools.lru_cache(double), (2,), "double", (1, 1)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_counts_each_kind_of_callable_and_returns_what_it_returns(kind, pipeline):
    """Each kind gives its own result and one count for each event or item."""
    target, args, name, (count, produced) = KINDS[kind]
    expected = run(target(*args))
    observed = pipeline.stage(target)
    assert run(observed(*args)) == expected
    assert counts(pipeline) == {name: (count, produced, 0)}


@pytest.mark.parametrize("kind", KINDS)
def test_keeps_what_inspect_says_of_each_kind(kind, pipeline):
    """Signature, kind of function, name and documentation are the target's own."""
    target = KINDS[kind][0]
    observed = pipeline.stage(target)
    asked = (
        inspect.isfunction,
        inspect.ismethod,
        inspect.isbuiltin,
        inspect.isgeneratorfunction,
        inspect.iscoroutinefunction,
        inspect.isasyncgenfunction,
        asyncio.iscoroutinefunction
        if hasattr(asyncio, "iscoroutinefunction")
        else bool,
        callable,
        inspect.getdoc,
        repr,
    )
    if hasattr(asyncio, "iscoroutinefunction") and not _deprecates():
        assert [ask(observed) for ask in asked] == [ask(target) for ask in asked]
    try:
        signature = inspect.signature(target)
    except ValueError:
        with pytest.raises(ValueError, match="no signature"):
            inspect.signature(observed)
    else:
        assert inspect.signature(observed) == signature
    for attribute in ("__name__", "__qualname__", "__module__"):
        missing = object()
        assert getattr(observed, attribute, missing) == getattr(
            target, attribute, missing
        ) or not hasattr(target, attribute)


def _deprecates():
    """Whether this Python warns of ``asyncio.iscoroutinefunction``."""
    import sys

    return sys.version_info >= (3, 14)


def test_observes_an_object_with_a_process_method(pipeline):
    """The proxy's process is the object's own, counted under its class's name."""
    stage = pipeline.stage(Doubler())
    assert [stage.process(1), stage.process("a")] == [2, "aa"]
    assert counts(pipeline) == {"Doubler": (2, 2, 0)}


def test_observed_stage_goes_to_the_default_pipeline(monkeypatch):
    """ObservedStage records in the pipeline that is named by the service."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "orders")
    stage = stagelight.ObservedStage(Doubler())
    assert stage.process(2) == 4
    assert counts(stagelight.Pipeline("orders")) == {"Doubler": (1, 1, 0)}


def test_observed_stage_takes_a_name_and_a_pipeline(pipeline):
    """Both keywords say where its calls are recorded."""
    stage = stagelight.ObservedStage(Doubler(), name="twice", pipeline=pipeline)
    assert stage.process(2) == 4
    assert counts(pipeline) == {"twice": (1, 1, 0)}


def test_decorates_with_and_without_arguments(pipeline):
    """@stage and @stage(name=...) both give a function of the same behaviour."""

    @pipeline.stage
    def plain(event):
        return event

    @pipeline.stage(name="renamed")
    def other(event):
        return event

    assert (plain(1), other(2)) == (1, 2)
    assert counts(pipeline) == {"plain": (1, 1, 0), "renamed": (1, 1, 0)}


def test_decorates_methods_above_and_below_their_descriptor(pipeline):
    """Class- and static methods work with the decorator on either side."""

    class Stage:
        @pipeline.stage(name="method")
        def method(self, event):
            return (type(self).__name__, event)

        @pipeline.stage(name="class above")
        @classmethod
        def class_above(cls, event):
            return (cls.__name__, event)

        @classmethod
        @pipeline.stage(name="class below")
        def class_below(cls, event):
            return (cls.__name__, event)

        @pipeline.stage(name="static above")
        @staticmethod
        def static_above(event):
            return event

        @staticmethod
        @pipeline.stage(name="static below")
        def static_below(event):
            return event

    stage = Stage()
    assert [
        stage.method(1),
        Stage.class_above(2),
        stage.class_below(3),
        Stage.static_above(4),
        stage.static_below(5),
        Stage.method(stage, 6),
    ] == [("Stage", 1), ("Stage", 2), ("Stage", 3), 4, 5, ("Stage", 6)]
    assert counts(pipeline) == {
        "method": (2, 2, 0),
        "class above": (1, 1, 0),
        "class below": (1, 1, 0),
        "static above": (1, 1, 0),
        "static below": (1, 1, 0),
    }


def test_observes_a_class_for_all_its_instances(pipeline):
    """A decorated class counts calls of all instances, and only once each."""

    @pipeline.stage
    class Tripler:
        def process(self, event):
            return event * 3

    class Loud(Tripler):
        def process(self, event):
            return super().process(event) + 1

    assert (Tripler().process(1), Loud().process(2)) == (3, 7)
    assert pipeline.stage(Tripler()).process(3) == 9
    assert counts(pipeline) == {"Tripler": (3, 3, 0)}


def test_observes_an_observed_stage_only_once(pipeline):
    """Whatever is observed already is returned, or counted once, as it is."""
    function = pipeline.stage(double)
    stage = pipeline.stage(Doubler())
    assert pipeline.stage(function) is function
    assert pipeline.stage(stage) is stage
    partial = functools.partial(function, 2)
    assert pipeline.stage(partial) is partial
    method = stage.process
    assert pipeline.stage(method) is method
    assert stagelight.ObservedStage(stage, pipeline=pipeline).process(1) == 2
    assert (partial(), method(4)) == (4, 8)
    assert counts(pipeline) == {"double": (1, 1, 0), "Doubler": (2, 2, 0)}


@pytest.mark.parametrize("shape", [list, tuple])
def test_observe_replaces_the_stages_of_a_sequence(shape, pipeline):
    """Lists are changed in place, tuples replaced; namesakes get numbers."""
    stages = shape([Doubler(), double, Doubler()])
    existing = Existing(stages)
    assert pipeline.observe(existing) is existing
    assert type(existing.stages) is shape
    assert (existing.stages is stages) is (shape is list)
    results = [
        getattr(stage, "process", stage)(number)
        for number, stage in enumerate(existing.stages)
    ]
    assert results == [0, 2, 4]
    assert counts(pipeline) == {
        "Doubler": (1, 1, 0),
        "double": (1, 1, 0),
        "Doubler-2": (1, 1, 0),
    }


def test_observe_names_the_stages_of_a_dict_by_its_keys(pipeline):
    """A dict of stages keeps its identity and order."""
    stages = {"first": Doubler(), "second": double}
    existing = pipeline.observe(Existing(stages))
    assert existing.stages is stages
    assert list(stages) == ["first", "second"]
    assert (stages["first"].process(1), stages["second"](2)) == (2, 4)
    assert counts(pipeline) == {"first": (1, 1, 0), "second": (1, 1, 0)}


def test_observe_twice_changes_nothing_more(pipeline):
    """Stages that are observed already stay as they are."""
    existing = pipeline.observe(Existing([Doubler(), double]))
    before = list(existing.stages)
    pipeline.observe(existing)
    assert [a is b for a, b in zip(existing.stages, before, strict=True)] == [True] * 2
    assert list(counts(pipeline)) == ["Doubler", "double"]


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param([Doubler(), 42], id="no stage"),
        pytest.param([Doubler(), lambda event: event], id="no name"),
        pytest.param({"ok": double, "": None}, id="none"),
        pytest.param({"ok": Doubler(), "x" * 65: double}, id="overlong name"),
        pytest.param([Doubler(), Existing], id="class without process"),
    ],
)
def test_observe_changes_all_stages_or_none(stages, pipeline):
    """One bad stage leaves the list, the dict and the pipeline as they were."""
    before = dict(stages) if isinstance(stages, dict) else list(stages)
    with pytest.raises(stagelight.ConfigurationError):
        pipeline.observe(Existing(stages))
    assert stages == before
    assert counts(pipeline) == {}


@pytest.mark.parametrize("bad", [None, 3, "text", object()])
def test_observe_names_what_has_no_stages(bad, pipeline):
    """An object without a list, tuple or dict of stages is a clear error."""
    with pytest.raises(stagelight.ConfigurationError, match="list, tuple or dict"):
        pipeline.observe(Existing(bad))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (42, "neither a .process"),
        (object(), "neither a .process"),
        (lambda event: event, "pass name="),
        (int, "class int is no stage"),
        (property(double), "neither a .process"),
    ],
)
def test_refuses_what_is_no_stage_when_it_is_wrapped(target, message, pipeline):
    """Bad use is an error that names the fix, at wrapping time."""
    with pytest.raises(stagelight.ConfigurationError, match=message):
        pipeline.stage(target)
    with pytest.raises(stagelight.ConfigurationError, match=r"no \.process"):
        stagelight.ObservedStage(3, pipeline=pipeline)


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\nb", 3])
def test_refuses_bad_names(name, pipeline):
    """A name has 1 to 64 printable characters."""
    with pytest.raises(stagelight.ConfigurationError, match="name"):
        pipeline.stage(double, name=name)


def test_refuses_a_second_stage_of_one_name(pipeline):
    """Two functions do not share one time series by accident."""
    pipeline.stage(double, name="same")
    with pytest.raises(stagelight.ConfigurationError, match=r"same.*already"):
        pipeline.stage(repeat, name="same")


def test_an_object_that_claims_every_attribute_is_still_observed(pipeline):
    """Proxies of remote objects answer any attribute, also the one we mark with."""

    class Remote:
        def __getattr__(self, name):
            return lambda event: (name, event)

    assert pipeline.stage(Remote(), name="remote").process(1) == ("process", 1)
    assert counts(pipeline) == {"remote": (1, 1, 0)}


def test_more_stages_than_we_count_still_work_as_they_are(pipeline):
    """Overflow stages share one record, whatever their kinds."""
    for number in range(256):
        pipeline.stage(lambda event: event, name=f"stage {number}")
    later = [
        pipeline.stage(target, name=f"more {number}")
        for number, target in enumerate(
            (lambda event: event, double_later, repeat, repeat_later)
        )
    ]
    assert [run(stage(1)) for stage in later] == [1, 2, [1, 1], [1, 1]]
    assert counts(pipeline)["_OTHER"][0] == 6


def test_a_redefined_stage_of_another_kind_runs_as_its_own_kind(pipeline):
    """A notebook cell that makes a function asynchronous, or back, is not broken."""

    def define(source):
        space = {"__name__": "notebook"}
        exec(source, space)
        return pipeline.stage(space["cell"])

    results = [
        run(define(source)(3))
        for source in (
            "def cell(e): return e",
            "async def cell(e): return e",
            "def cell(e): yield e",
            "async def cell(e): yield e",
            "def cell(e): return e",
        )
    ]
    assert results == [3, 3, [3], [3], 3]
