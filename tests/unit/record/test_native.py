"""What is recorded in C is what Python records, and it keeps nothing alive."""

from __future__ import annotations

import gc
import inspect
import os
import subprocess
import sys
import threading
import traceback
import tracemalloc
import weakref
from array import array

import pytest
from opentelemetry import trace

from stagelight import _compiled, _folding
from stagelight._cells import BOUNDS, pack, unpack
from stagelight._deferred import Deferred
from stagelight._distribution import BATCH
from stagelight._extension import NATIVE
from stagelight._pauses import Pauses
from stagelight._slots import NEVER
from stagelight._tracer import TRACER

pytestmark = pytest.mark.skipif(
    not _compiled.BOUND, reason="stagelight._native is not built or not wanted"
)


class Event:
    """Weakly referable."""


@pytest.fixture
def quiet(pipeline):
    """Default mode, outside of the head sample: light calls."""
    from opentelemetry.sdk.trace import TracerProvider

    TRACER.configure(TracerProvider(shutdown_on_exit=False), 1.0)
    TRACER.due = TRACER.budget.due = NEVER
    event = Event()  # kept, lest another one has its identity
    pipeline.stage(lambda event: event, name="first")(event)  # makes the worker ready
    yield pipeline
    del event


def run(program: str, **environment: str) -> str:
    """What a program prints in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def stats(pipeline, name="work"):
    """Outcomes of a stage."""
    return pipeline.stats()["stages"][name]["outcomes"]


def declined(work) -> bool:
    """Whether a call, which this makes, is left to Python."""
    native = work.__globals__["_native"]
    return native(Event(), Event()) is NATIVE.DECLINE


def test_the_environment_turns_it_off():
    """STAGELIGHT_NATIVE=0 leaves Python alone, anything else asks for it."""
    program = "from stagelight._compiled import BOUND; print(BOUND)"
    assert run(program, STAGELIGHT_NATIVE="0") == "False"
    assert run(program, STAGELIGHT_NATIVE="1") == "True"


def test_plain_calls_are_taken(pipeline):
    """A plain call runs in C, one inside another one in Python."""
    seen = []

    def inner(event):
        return event

    inner = pipeline.stage(inner, name="inner")
    assert not declined(inner)

    def work(event):
        seen.append(declined(inner))
        return event

    work = pipeline.stage(work, name="work")
    assert not declined(work)
    assert seen == [True]
    assert stats(pipeline) == {"success": 1}


def test_light_calls_are_taken(quiet):
    """So are calls outside of the head sample, and only those."""
    work = quiet.stage(lambda event: event, name="work")
    assert not declined(work)
    TRACER.due = TRACER.budget.due = 0
    assert declined(work)


@pytest.mark.parametrize("mode", ["pipeline", "quiet"])
def test_nothing_is_kept(mode, request):
    """Results, events, exceptions and keyword arguments are free after the call."""
    pipeline = request.getfixturevalue(mode)

    def work(event, *, fail=False):
        if fail:
            raise ValueError(event)
        return event

    work = pipeline.stage(work, name="work")
    event = Event()
    before = sys.getrefcount(event)
    for _ in range(100):
        assert work(event) is event
        with pytest.raises(ValueError, match="Event"):
            work(event, fail=True)
    gc.collect()
    assert sys.getrefcount(event) == before
    ref = weakref.ref(event)
    del event
    gc.collect()
    assert ref() is None


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal since 3.12")
@pytest.mark.parametrize("mode", ["pipeline", "quiet"])
def test_the_count_of_none(mode, request):
    """What is put into slots again and again is counted right."""
    pipeline = request.getfixturevalue(mode)
    work = pipeline.stage(lambda event: event, name="work")
    gc.collect()
    before = sys.getrefcount(None), sys.getrefcount(0), sys.getrefcount(False)
    for number in range(20_000):
        work(number)
    after = sys.getrefcount(None), sys.getrefcount(0), sys.getrefcount(False)
    assert all(abs(a - b) < 2_000 for a, b in zip(after, before, strict=True))


def test_a_full_buffer_is_folded_at_once(pipeline):
    """A burst does not wait for the clock: the buffer never has more than a batch."""

    @pipeline.stage
    def work(event):
        return event

    work(1)
    slot = work.__stagelight_stage__.slot()
    longest = 0
    for number in range(BATCH * 3):
        slot.roll = NEVER
        work(number)
        longest = max(longest, len(slot._buffer))
    assert longest == BATCH - 1
    assert slot.count == BATCH * 3 + 1


@pytest.mark.parametrize("mode", ["pipeline", "quiet"])
def test_memory_is_flat(mode, request):
    """Twenty thousand calls need no more memory than two thousand."""
    pipeline = request.getfixturevalue(mode)
    work = pipeline.stage(lambda event: (event,), name="work")
    slot = work.__stagelight_stage__.slot()

    def needed(count):
        for number in range(count):
            work(number)
        slot.fold()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        needed(2_000)
        before = needed(2_000)
        assert needed(20_000) - before < 64_000
    finally:
        tracemalloc.stop()


def test_a_wrapper_dies_with_its_function(pipeline):
    """The collector sees through the object in C."""

    def work(event):
        return event

    ref = weakref.ref(work)
    observed = pipeline.stage(work, name="work")
    observed(1)
    native = weakref.ref(observed)
    del work, observed
    gc.collect()
    assert native() is None
    assert ref() is None


@pytest.mark.parametrize("mode", ["pipeline", "quiet"])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_exceptions_pass_through(mode, kind, request):
    """The very object, with the traceback, cause and context that Python gives it."""
    pipeline = request.getfixturevalue(mode)
    thrown = kind("no")

    def work(event):
        raise thrown from event

    def caller(work):
        try:
            try:
                raise LookupError
            except LookupError:
                work(KeyError())
        except BaseException as error:  # noqa: BLE001
            return error, error.__context__, traceback.extract_tb(error.__traceback__)

    want = caller(work)
    thrown.__traceback__ = None
    got = caller(pipeline.stage(work, name="work"))
    assert got[0] is want[0]
    assert type(got[1]) is type(want[1]) is LookupError
    hidden = "<stagelight"
    names = [one.name for one in got[2] if not one.filename.startswith(hidden)]
    assert names == [one.name for one in want[2]]
    assert sys.exc_info() == (None, None, None)
    outcome = "failure" if kind is ValueError else None
    if outcome:
        assert sum(stats(pipeline).values()) == 1


def test_a_wrong_call_is_no_call(pipeline):
    """The wrapper has the signature: a wrong call raises before anything is counted."""
    work = pipeline.stage(lambda event, *, key=1: event, name="work")
    with pytest.raises(TypeError, match="missing 1 required"):
        work()
    with pytest.raises(TypeError, match="unexpected keyword"):
        work(1, other=2)
    assert stats(pipeline) == {}
    assert str(inspect.signature(work)) == "(event, *, key=1)"
    assert work(1, key=2) == 1


def test_many_arguments_to_an_object(pipeline):
    """An object's process gets all of them, by position and by name."""

    class Stage:
        def process(self, *args, **kwargs):
            return args, kwargs

    work = pipeline.stage(Stage(), name="work")
    names = {f"n{number}": number for number in range(20)}
    for count in (1, 3, 11, 12, 13, 40):
        args = tuple(range(count))
        assert work.process(*args) == (args, {})
        assert work.process(*args, **names) == (args, names)
    assert stats(pipeline) == {"success": 12}


def test_recursion(pipeline):
    """Only the outermost call is in C, and all are counted."""

    def work(number):
        return number and 1 + work(number - 1)

    work = pipeline.stage(work, name="work")
    assert work(50) == 50
    assert stats(pipeline) == {"success": 51}


def test_recursion_without_end(pipeline):
    """A full stack is an exception as ever, and the stage works on."""

    def work(number):
        return work(number + 1)

    work = pipeline.stage(work, name="work")
    with pytest.raises(RecursionError):
        work(0)
    plain = pipeline.stage(lambda event: event, name="plain")
    assert plain(1) == 1
    assert not declined(plain)


def test_threads_count_exactly(pipeline):
    """Many threads at once lose and invent nothing, ended ones neither."""
    work = pipeline.stage(lambda event: event, name="work")
    other = pipeline.stage(lambda event: [work(event)], name="other")

    def calls():
        for number in range(500):
            work(number)
            other(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=calls) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert stats(pipeline) == {"success": 8_000}
    assert stats(pipeline, "other") == {"success": 4_000}


def test_a_call_as_a_thread_ends(pipeline):
    """What a thread's own variables call as they die is not counted into the void."""
    work = pipeline.stage(lambda event: event, name="work")

    class Last:
        def __del__(self):
            work(2)

    before, after = threading.local(), threading.local()

    def thread():
        before.value = Last()
        work(1)
        after.value = Last()

    one = threading.Thread(target=thread)
    one.start()
    one.join()
    assert stats(pipeline) == {"success": 3}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_starts_from_zero(pipeline):
    """It records in C too, into its own slots."""
    program = """
import os, stagelight
pipeline = stagelight.Pipeline("p")
work = pipeline.stage(lambda event: event, name="work")
for _ in range(3): work(1)
child = os.fork()
if not child:
    work(1)
    good = pipeline.stats()["stages"]["work"]["outcomes"] == {"success": 1}
    os._exit(0 if good else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(pipeline.stats()["stages"]["work"]["outcomes"])
"""
    assert run(program) == "0\n{'success': 3}"


def test_calls_as_the_interpreter_ends():
    """Finalizers and atexit functions may call stages to the very end."""
    program = """
import atexit, stagelight
pipeline = stagelight.Pipeline("p")
work = pipeline.stage(lambda event: print(event), name="work")
class Last:
    def __del__(self, work=work): work("last")
last = Last()
last.itself = last
atexit.register(work, "exit")
work("first")
"""
    assert run(program).splitlines() == ["first", "exit", "last"]


def test_a_finalizer_calls_the_running_stage(pipeline):
    """What the collector runs amid a call nests in it."""

    class Last:
        def __del__(self):
            work(None)

    def work(event):
        if event is not None:
            event.pop()
        return event

    work = pipeline.stage(work, name="work")
    work([Last()])
    assert stats(pipeline) == {"success": 2}


def test_a_span_that_is_looked_at(quiet):
    """It is the deferred one, also for who captured the context and looks later."""
    from contextvars import copy_context

    kept = []

    def work(event):
        if event == "now":
            return trace.get_current_span()
        kept.append(copy_context())
        return event

    work = quiet.stage(work, name="work")
    assert isinstance(work("now"), Deferred)
    work("later")
    assert not trace.get_current_span().get_span_context().is_valid
    assert isinstance(kept[0].run(trace.get_current_span), Deferred)


def test_counting_as_python_does(monkeypatch):
    """Samples land in the same cells, with the same sum and extremes."""
    samples = array("Q", [0, 1, 59, 60, 61, 10**9, 10**14, *BOUNDS])
    samples.extend(one + 1 for one in BOUNDS)
    samples.extend([77] * 7_000)
    state = (pack({3: 2}), 2, 7, 9, 5, 0)
    counted = _folding.folded(state, samples)
    monkeypatch.setattr(_folding, "NATIVE", None)
    assert counted == _folding.folded(state, samples)


def test_a_sample_of_years():
    """Too large for C is Python's."""
    state = (0, 0, 0, 0, NEVER, 0)
    folded = _folding.folded(state, array("Q", [1 << 60, 1 << 63]))
    assert sum(unpack(folded[0]).values()) == folded[1] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (array("Q"), array("q"), 6),
        ([1], array("q"), 6),
        (array("Q", [1]), b"12345678", 6),
        (array("Q", [1]), array("q"), 9),
        (array("Q", [1]), array("q"), 1),
        (array("Q", [1]), array("q"), None),
    ],
)
def test_what_cannot_be_counted(arguments):
    """Nothing that is passed to it crashes."""
    with pytest.raises(TypeError):
        NATIVE.count_in(*arguments)


def test_collections_on_a_full_stack(monkeypatch):
    """What times them raises nothing there, which would be printed."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    pauses = Pauses()
    threshold = gc.get_threshold()

    def endless():
        kept = [[] for _ in range(3)]
        return endless() or kept

    pauses.install()
    gc.set_threshold(1)
    try:
        with pytest.raises(RecursionError):
            endless()
    finally:
        gc.set_threshold(*threshold)
        pauses.uninstall()
    assert pauses.total() > 0
    assert pauses.callback not in gc.callbacks
    assert not [one for one in told if one.object is pauses.callback]


def test_bind_refuses():
    """Classes without the slots that it needs are an error, not a crash."""
    with pytest.raises(TypeError, match="bind"):
        NATIVE.bind()
    with pytest.raises(TypeError):
        NATIVE.bind(1)
