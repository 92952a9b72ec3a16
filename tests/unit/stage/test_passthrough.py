"""What a stage takes, returns and raises is exactly as without the observer."""

from __future__ import annotations

import functools
import inspect
import traceback
import types

import pytest

import stagelight


def outcome(call, *args, **kwargs):
    """The result of a call, or the type and text of its error."""
    try:
        return call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - compared
        return type(error), str(error)


def test_returns_the_very_object(pipeline):
    """A result is passed on by identity, also None and exceptions as values."""
    results = [object(), None, ValueError("a value"), NotImplemented, ...]

    @pipeline.stage
    def stage(event):
        return event

    assert all(stage(result) is result for result in results)


def test_raises_the_very_exception_with_its_cause(pipeline):
    """The same object arrives, its cause and context as the stage left them."""
    cause, problem = KeyError("cause"), ValueError("problem")

    @pipeline.stage
    def stage(event):
        try:
            raise cause
        except KeyError:
            raise problem from cause

    with pytest.raises(ValueError, match="problem") as caught:
        stage(1)
    assert caught.value is problem
    assert problem.__cause__ is cause
    assert problem.__context__ is cause
    assert cause.__context__ is None
    assert not hasattr(problem, "__notes__")


def test_does_not_chain_exceptions_of_its_own(pipeline):
    """An exception raised while the caller handles another has that one as context."""
    outer, problem = KeyError("outer"), ValueError("problem")

    @pipeline.stage
    def stage(event):
        raise problem

    def handle():
        try:
            raise outer
        except KeyError:
            stage(1)

    with pytest.raises(ValueError, match="problem"):
        handle()
    assert problem.__context__ is outer
    assert problem.__cause__ is None


def test_tracebacks_end_in_the_users_frame(pipeline):
    """The innermost frame is the line that raised; ours is one frame above it."""

    @pipeline.stage
    def stage(event):
        raise ValueError(event)

    with pytest.raises(ValueError, match="1") as caught:
        stage(1)
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [(frame.name, frame.filename == __file__) for frame in frames] == [
        ("test_tracebacks_end_in_the_users_frame", True),
        ("wrapper", False),
        ("stage", True),
    ]


def no_parameters():
    """Return what it was called with."""
    return ()


def simple(event):
    """Return what it was called with."""
    return (event,)


def defaults(event, two=[], *, three=None):  # noqa: B006 - its identity is compared
    """Return what it was called with."""
    return (event, two, three)


def everything(a, /, b, c=3, *args, d, e=5, **kwargs):
    """Return what it was called with."""
    return (a, b, c, args, d, e, kwargs)


def positional_only(a, b=2, /):
    """Return what it was called with."""
    return (a, b)


def positional_only_and_rest(a, /, *rest):
    """Return what it was called with."""
    return (a, rest)


def keyword_only(*, event, other=1):
    """Return what it was called with."""
    return (event, other)


def keywords(**event):
    """Return what it was called with."""
    return event


def ours(
    _slot,
    _local,
    _target,
    _worker=1,
    *_result,
    _start=2,
    _sent=3,
    _items=4,
    **_default0,
):
    """Return what it was called with."""
    return (_slot, _local, _target, _worker, _result, _start, _sent, _items, _default0)


def prefixed(_slot, _s_slot, _s_s_slot, _default=1, _default0=2):
    """Return what it was called with."""
    return (_slot, _s_slot, _s_s_slot, _default, _default0)


def builtin_names(len, args, kwargs, wrapper=1, *, __builtins__=2):  # noqa: A002
    """Return what it was called with."""
    return (len, args, kwargs, wrapper, __builtins__)


class Mangled:
    def process(self, __event, *, __mode=1):  # noqa: PYI063 - names get mangled
        return (__event, __mode)

    def rest(*args):
        return args[1:]


SIGNATURES = [
    no_parameters,
    simple,
    defaults,
    everything,
    positional_only,
    positional_only_and_rest,
    keyword_only,
    keywords,
    ours,
    prefixed,
    builtin_names,
    Mangled().process,
    Mangled().rest,
    functools.partial(everything, 1, d=4),
    functools.partial(defaults, two=2),
    functools.partial(Mangled().process, 1),
]
CALLS = [
    ((), {}),
    ((1,), {}),
    ((1, 2), {}),
    ((1, 2, 3), {}),
    ((1, 2, 3, 4, 5), {"d": 6}),
    ((1, 2), {"d": 4, "z": 26}),
    ((), {"event": 1}),
    ((), {"event": 1, "other": 2}),
    ((1,), {"event": 1}),
    ((1,), {"a": 1}),
    ((1, 2), {"three": 3}),
    ((1, 2, 3), {"_start": 7, "_x": 8}),
    ((), {"_slot": 1, "_local": 2, "_target": 3}),
    ((1,), {"_Mangled__mode": 2}),
    ((1, 2, 3), {"__builtins__": 9}),
]


@pytest.mark.parametrize("number", range(len(SIGNATURES)))
def test_takes_the_same_arguments_and_refuses_others_with_the_same_words(
    number, pipeline
):
    """Results and errors of many calls are equal, and the error comes at the call."""
    target = SIGNATURES[number]
    observed = pipeline.stage(target, name="stage")
    assert inspect.signature(observed) == inspect.signature(target)
    for args, kwargs in CALLS:
        assert outcome(observed, *args, **kwargs) == outcome(target, *args, **kwargs)


def test_defaults_are_the_very_objects(pipeline):
    """A mutable default is shared with the original."""
    observed = pipeline.stage(defaults)
    assert observed(1)[1] is defaults(1)[1]


@pytest.mark.parametrize("kind", ["generator", "coroutine", "async generator"])
def test_refuses_wrong_arguments_when_it_is_called(kind, pipeline):
    """A lazy stage raises for bad arguments at once, with the same words."""

    def generator(event, *, mode=1):
        yield event

    async def coroutine(event, *, mode=1):
        return event

    async def async_generator(event, *, mode=1):
        yield event

    class Callable:
        __call__ = {
            "generator": lambda self, event: (yield event),
            "coroutine": lambda self, event: event,
            "async generator": lambda self, event: event,
        }[kind]

    targets = {
        "generator": generator,
        "coroutine": coroutine,
        "async generator": async_generator,
    }
    for target in (targets[kind], functools.partial(targets[kind], mode=2), Callable()):
        observed = pipeline.stage(target, name=f"{type(target).__name__}")
        for args in ((), (1, 2), (1, 2, 3)):
            expected = outcome(target, *args)
            assert isinstance(expected, tuple)
            assert outcome(observed, *args) == expected


def test_a_promised_signature_does_not_narrow_what_is_taken(pipeline):
    """A function whose ``__signature__`` says less than it takes still takes all."""

    def stage(*args, **kwargs):
        return args, kwargs

    stage.__signature__ = inspect.Signature(
        [inspect.Parameter("event", inspect.Parameter.POSITIONAL_ONLY)]
    )
    observed = pipeline.stage(stage)
    assert observed(1, 2, x=3) == ((1, 2), {"x": 3})
    assert inspect.signature(observed) == inspect.signature(stage)


def test_a_function_that_is_only_marked_as_coroutine_function(pipeline):
    """What it returns is passed on as it is, whatever awaitable that may be."""
    if not hasattr(inspect, "markcoroutinefunction"):
        pytest.skip("new in Python 3.12")

    @inspect.markcoroutinefunction
    def stage(event):
        return [event]

    observed = pipeline.stage(stage)
    assert observed(1) == [1]
    assert inspect.iscoroutinefunction(observed)


def test_keeps_function_attributes(pipeline):
    """Name, documentation, annotations, module and own attributes are copied."""

    def stage(event: int) -> str:
        """Do it."""

    stage.flag = [1]
    observed = pipeline.stage(stage)
    kept = ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__")
    assert [getattr(observed, name) for name in kept] == [
        getattr(stage, name) for name in kept
    ]
    assert observed.flag is stage.flag
    assert observed.__wrapped__ is stage
    assert observed.__defaults__ == stage.__defaults__
    assert isinstance(observed, types.FunctionType)


def test_recursion_and_reentrancy(pipeline):
    """A stage may call itself and others, directly and through each other."""

    @pipeline.stage
    def even(number):
        return True if number == 0 else odd(number - 1)

    @pipeline.stage
    def odd(number):
        return False if number == 0 else even(number - 1)

    @pipeline.stage
    def factorial(number):
        return 1 if number < 2 else number * factorial(number - 1)

    assert (even(10), odd(7), factorial(6)) == (True, True, 720)
    stages = pipeline.stats()["stages"]
    assert {name: (s["count"], s["active"]) for name, s in stages.items()} == {
        "even": (10, 0),
        "odd": (9, 0),
        "factorial": (6, 0),
    }


def test_a_full_stack_raises_as_it_would_and_heals(pipeline):
    """RecursionError arrives as such, and nothing is in flight afterwards."""
    problem = ValueError("at the bottom")

    @pipeline.stage
    def endless(number):
        return endless(number + 1)

    @pipeline.stage
    def deep(number):
        try:
            return deep(number + 1)
        except RecursionError:
            raise problem from None

    with pytest.raises(RecursionError):
        endless(0)
    with pytest.raises(ValueError, match="at the bottom") as caught:
        deep(0)
    assert caught.value is problem
    stages = pipeline.stats()["stages"]
    assert [stage["active"] for stage in stages.values()] == [0, 0]
    calm = pipeline.stage(simple)
    assert calm(1) == (1,)
    assert pipeline.stats()["stages"]["simple"]["count"] == 1


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration, GeneratorExit])
def test_a_plain_stage_may_raise_what_ends_generators(kind, pipeline):
    """StopIteration and its like pass through a plain stage as any exception."""
    problem = kind("text")

    @pipeline.stage
    def stage(event):
        raise problem

    with pytest.raises(kind) as caught:
        stage(1)
    assert caught.value is problem


def test_methods_of_slotted_classes_and_properties(pipeline):
    """``__slots__`` and a ``process`` that is a property or attribute all work."""

    class Slotted:
        __slots__ = ("base",)

        def __init__(self):
            self.base = 1

        def process(self, event):
            return event + self.base

    class ByProperty:
        def __init__(self):
            self.factor = 2

        @property
        def process(self):
            factor = self.factor
            return lambda event: event * factor

    class ByAttribute:
        def __init__(self):
            self.process = lambda event: event - 1

    slotted = pipeline.stage(Slotted())
    slotted.base = 5
    assert (slotted.process(1), slotted.__wrapped__.base) == (6, 5)
    by_property = pipeline.stage(ByProperty(), name="property")
    assert by_property.process(4) == 8
    by_property.factor = 3
    assert by_property.process(4) == 12
    by_attribute = pipeline.stage(ByAttribute(), name="attribute")
    assert by_attribute.process(4) == 3
    by_attribute.process = lambda event: event - 2
    assert by_attribute.process(4) == 2
    assert {n: s["count"] for n, s in pipeline.stats()["stages"].items()} == {
        "Slotted": 1,
        "property": 2,
        "attribute": 2,
    }


def test_a_stage_may_replace_its_own_process(pipeline):
    """A stage that switches its ``process`` from inside runs the new one next."""

    class Switch:
        def process(self, event):
            self.process = self.after
            return ("first", event)

        def after(self, event):
            return ("after", event)

    stage = pipeline.stage(Switch())
    assert [stage.process(1), stage.process(2)] == [("first", 1), ("after", 2)]
    assert pipeline.stats()["stages"]["Switch"]["count"] == 2


class Rich:
    """An object with many special methods."""

    flag = 1

    def __init__(self):
        self.items = {"a": 1}

    def process(self, event):
        return event

    def __call__(self, event):
        return ("called", event)

    def __len__(self):
        return 3

    def __iter__(self):
        return iter("xyz")

    def __getitem__(self, key):
        return self.items[key]

    def __eq__(self, other):
        return isinstance(other, Rich)

    def __hash__(self):
        return 7

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.left = True

    def __repr__(self):
        return "Rich()"


def test_the_proxy_of_an_object_is_a_drop_in(pipeline):
    """Attributes, operators and isinstance are the object's own."""
    bare = Rich()
    stage = pipeline.stage(bare)
    assert isinstance(stage, Rich)
    assert (stage("e"), len(stage), list(stage), stage["a"]) == (
        ("called", "e"),
        3,
        ["x", "y", "z"],
        1,
    )
    assert (stage == bare, hash(stage), repr(stage)) == (True, 7, "Rich()")
    with stage:
        pass
    assert bare.left is True
    stage.flag = 2
    assert (bare.flag, vars(stage)) == (2, vars(bare))
    del stage.flag
    assert stage.flag == 1
    with pytest.raises(AttributeError, match="missing"):
        stage.missing  # noqa: B018
    assert stage.process.__self__ == bare
    assert inspect.ismethod(stage.process)
    assert inspect.signature(stage.process) == inspect.signature(bare.process)


def test_the_proxy_does_not_claim_what_its_object_lacks(pipeline):
    """An object that is neither callable nor iterable does not become so."""
    from collections.abc import Callable, Iterable

    class Poor:
        def process(self, event):
            return event

    stage = pipeline.stage(Poor())
    assert not isinstance(stage, (Callable, Iterable))
    assert not callable(stage)
    with pytest.raises(TypeError, match="not iterable"):
        iter(stage)


def test_a_subclass_of_an_observed_class_may_override_process(pipeline):
    """The override runs; what it reaches by super() is counted."""

    @pipeline.stage
    class Base:
        def process(self, event):
            return event + 1

    class Child(Base):
        def process(self, event):
            return super().process(event) * 10

    assert pipeline.stage(Child(), name="child").process(1) == 20
    assert {n: s["count"] for n, s in pipeline.stats()["stages"].items()} == {
        "Base": 1,
        "child": 1,
    }


def test_an_observed_bound_method_as_class_attribute_is_not_bound_again(pipeline):
    """Only what Python would bind is bound."""

    class Helper:
        def work(self, event):
            return ("work", event)

    class User:
        by_method = pipeline.stage(Helper().work)
        by_builtin = pipeline.stage(len)
        by_object = pipeline.stage(Rich().__call__, name="object")

    user = User()
    assert (user.by_method(1), user.by_builtin([1]), user.by_object(2)) == (
        ("work", 1),
        1,
        ("called", 2),
    )


def test_a_cached_function_keeps_its_own_methods(pipeline):
    """``cache_info`` and binding of an lru_cache work through the observer."""

    class Stage:
        @pipeline.stage
        @functools.lru_cache  # noqa: B019 - short-lived
        def work(self, event):
            return event

    stage = Stage()
    assert [stage.work(1), stage.work(1)] == [1, 1]
    assert Stage.work.cache_info().hits == 1


def test_drop_outside_of_a_stage_changes_nothing():
    """``drop`` and ``retry`` are inert where no stage runs."""
    stagelight.drop()
    stagelight.retry()
