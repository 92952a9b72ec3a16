"""Stages pickle and copy where they did before, and are observed where they load."""

from __future__ import annotations

import copy
import functools
import pickle
import subprocess
import sys
import textwrap

import pytest

import stagelight

HERE = sys.modules[__name__]
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def add(event, other=1):
    """Return the event and some more."""
    return event + other


async def add_later(event):
    """Return the event plus one, a moment later."""
    return event + 1


class Adder:
    def __init__(self, other=1):
        self.other = other
        self.seen = []

    def process(self, event):
        self.seen.append(event)
        return event + self.other

    def __call__(self, event):
        return event - self.other


class Slotted:
    __slots__ = ("other",)

    def process(self, event):
        return event + self.other


class Unpicklable:
    def __init__(self):
        self.function = lambda: None

    def process(self, event):
        return event


def count(pipeline, name):
    """How many calls a stage has counted."""
    return pipeline.stats()["stages"][name]["count"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_decorated_function_pickles_by_name(protocol, pipeline, monkeypatch):
    """A module-level function under its own name is found again by that name."""

    def define():
        def decorated(event):
            return event

        decorated.__qualname__ = "decorated"
        return decorated

    observed = pipeline.stage(define())
    monkeypatch.setattr(HERE, "decorated", observed, raising=False)
    assert pickle.loads(pickle.dumps(observed, protocol)) is observed
    assert copy.copy(observed) is observed
    assert copy.deepcopy(observed) is observed


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_second_name_for_a_function_pickles_observed(protocol, pipeline):
    """``enrich = pipeline.stage(add)`` pickles while ``add`` stays the bare one."""
    observed = pipeline.stage(add, name="enrich")
    loaded = pickle.loads(pickle.dumps(observed, protocol))
    assert (loaded(1), loaded(1, other=5)) == (2, 6)
    assert count(pipeline, "enrich") == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("cached", [False, True])
def test_rebinding_a_functions_own_name_pickles(
    cached, protocol, pipeline, monkeypatch
):
    """``add = pipeline.stage(add)`` pickles, though the name means the observed one."""
    target = functools.lru_cache(add) if cached else add
    if cached:
        monkeypatch.setattr(HERE, "add", target)
    observed = pipeline.stage(target)
    monkeypatch.setattr(HERE, "add", observed)
    loaded = pickle.loads(pickle.dumps(observed, protocol))
    assert loaded is observed
    assert loaded(1) == 2
    assert copy.deepcopy(observed) is observed


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "make",
    [
        lambda: functools.partial(add, other=3),
        lambda: Adder(3).process,
        lambda: functools.partial(Adder(3).process),
        lambda: functools.partial(int.__add__, 3),
        lambda: (3).__add__,
    ],
    ids=["partial", "method", "partial method", "partial builtin", "builtin method"],
)
def test_callables_pickle_observed(make, protocol, pipeline):
    """Partials, bound methods and builtins are observed again where they load."""
    observed = pipeline.stage(make(), name="stage")
    loaded = pickle.loads(pickle.dumps(observed, protocol))
    assert (observed(1), loaded(1)) == (4, 4)
    assert count(pipeline, "stage") == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_objects_pickle_with_their_state(protocol, pipeline):
    """An observed object loads as an equal one, observed under the same name."""
    stage = pipeline.stage(Adder(3))
    stage.process(1)
    loaded = pickle.loads(pickle.dumps(stage, protocol))
    assert isinstance(loaded, Adder)
    assert (loaded.process(5), vars(loaded)) == (8, {"other": 3, "seen": [1, 5]})
    assert stage.seen == [1]
    assert count(pipeline, "Adder") == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_process_of_an_observed_object_pickles(protocol, pipeline):
    """``pool.submit(stage.process, event)`` sends it to another process."""
    stage = pipeline.stage(Adder(3))
    loaded = pickle.loads(pickle.dumps(stage.process, protocol))
    assert loaded(1) == 4
    assert count(pipeline, "Adder") == 1


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_slotted_objects_pickle(protocol, pipeline):
    """What pickles by ``__slots__`` still does."""
    bare = Slotted()
    bare.other = 2
    loaded = pickle.loads(pickle.dumps(pipeline.stage(bare), protocol))
    assert loaded.process(1) == 3


def test_what_does_not_pickle_says_so_as_ever(pipeline):
    """The error is about the user's own attribute."""
    errors = []
    for stage in (Unpicklable(), pipeline.stage(Unpicklable())):
        with pytest.raises((pickle.PicklingError, AttributeError)) as caught:
            pickle.dumps(stage)
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]


def test_copies_are_independent_and_observed(pipeline):
    """Copy and deepcopy copy the object, and both twins count in one stage."""
    stage = pipeline.stage(Adder(3))
    stage.process(1)
    shallow, deep = copy.copy(stage), copy.deepcopy(stage)
    assert shallow.seen is stage.seen
    assert deep.seen == [1]
    assert deep.seen is not stage.seen
    deep.other = 10
    assert (stage.process(1), shallow.process(1), deep.process(1)) == (4, 4, 11)
    assert count(pipeline, "Adder") == 4


def test_copies_of_stages_that_observe_numbered_share_their_stage(pipeline):
    """A copied pipeline does not make new time series."""

    class Existing:
        def __init__(self):
            self.stages = [Adder(1), Adder(2)]

    existing = pipeline.observe(Existing())
    twin = copy.deepcopy(existing)
    assert [stage.process(1) for stage in (*existing.stages, *twin.stages)] == [
        2,
        3,
        2,
        3,
    ]
    assert {n: s["count"] for n, s in pipeline.stats()["stages"].items()} == {
        "Adder": 2,
        "Adder-2": 2,
    }


def test_copies_of_callables_are_independent_where_they_were(pipeline):
    """A callable object is copied, a function is not; partials copy their arguments."""
    other = [1]

    class Callable:
        def __init__(self):
            self.state = [1]

        def __call__(self, event):
            return (event, self.state)

    stage = pipeline.stage(Callable())
    deep = copy.deepcopy(stage)
    deep.state.append(2)
    assert (stage(0), deep(0)) == ((0, [1]), (0, [1, 2]))
    partial = pipeline.stage(functools.partial(add, other), name="partial")
    assert copy.deepcopy(partial).args[0] is not other
    assert copy.copy(partial).args[0] is other
    published = pipeline.stage(add, name="published")
    assert copy.deepcopy(published) is published


def test_loading_never_fails_for_our_sake(pipeline, caplog):
    """Where its name is taken in the loading process, a stage loads unobserved."""
    data = pickle.dumps(pipeline.stage(Adder(3), name="taken"))
    del pipeline._record.stages["taken"], pipeline._record.sources["taken"]
    pipeline.stage(add, name="taken")
    loaded = pickle.loads(data)
    assert type(loaded) is Adder
    assert loaded.process(1) == 4
    assert "'taken' is not observed" in caplog.text


def test_loads_in_a_process_that_has_not_imported_us(tmp_path):
    """A fresh interpreter imports what it needs, and counts there."""
    (tmp_path / "stages.py").write_text(
        textwrap.dedent(
            """
            class Adder:
                def process(self, event):
                    return event + 1
            """
        )
    )
    script = """
        import pickle, sys
        if sys.argv[1:]:
            stage = pickle.loads(bytes.fromhex(sys.argv[1]))
            result = stage(1)
            import stagelight
            stats = stagelight.Pipeline("remote").stats()
            print(result, stats["stages"]["Adder"]["count"])
        else:
            import stagelight, stages
            pipeline = stagelight.Pipeline("remote")
            print(pickle.dumps(pipeline.stage(stages.Adder()).process).hex())
    """

    def python(*args):
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), *args],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={"PYTHONPATH": ":".join([str(tmp_path), *filter(None, sys.path)])},
        ).stdout.strip()

    assert python(python()) == "2 1"


def test_the_event_id_survives_a_copy(pipeline):
    """A copy uses the same way to identify events."""
    stage = pipeline.stage(Adder(), event_id=str)
    twin = copy.deepcopy(stage)
    assert twin.__stagelight_stage__ is stage.__stagelight_stage__
    assert twin.__stagelight_stage__.event_id is str
    assert stagelight.Pipeline("unit")._record is pipeline._record
