"""Pauses of the garbage collector are timed by builtins alone."""

from __future__ import annotations

import ast
import gc
import sys
import threading

import pytest

from stagelight._pauses import Pauses


class Ticks:
    """A clock in nanoseconds that a test moves."""

    def __init__(self):
        self.now = 1_000

    def __call__(self):
        return self.now


@pytest.fixture
def alone():
    """No callback but the test's own: hypothesis, for one, leaves a function there."""
    others = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = others


def collection(pauses, ticks, length, *, phases=("start", "stop")):
    """What the collector does with its callbacks."""
    for phase in phases:
        ticks.now += length if phase == "stop" else 10
        pauses.callback(phase, {"generation": 0})


def test_pauses_add_up_whatever_is_open():
    """Each collection counts once it has ended, and time between them does not."""
    ticks = Ticks()
    pauses = Pauses(ticks)
    assert pauses.total() == 0
    collection(pauses, ticks, 100)
    collection(pauses, ticks, 30)
    assert pauses.total() == 130
    collection(pauses, ticks, 0, phases=("start",))
    assert pauses.total() == 130
    collection(pauses, ticks, 7, phases=("stop",))
    assert pauses.total() == 137


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("closed", [True, False])
def test_an_end_without_a_start_begins_anew(closed):
    """Installed within a collection, it counts from the next on, and never time off."""
    ticks = Ticks()
    pauses = Pauses(ticks)
    pauses.install()
    first = pauses.callback
    collection(pauses, ticks, 50, phases=("stop",))
    collection(pauses, ticks, 50)
    if not closed:
        collection(pauses, ticks, 50, phases=("start",))
    assert pauses.total() == 0
    assert gc.callbacks == [pauses.callback]
    assert pauses.callback != first
    collection(pauses, ticks, 5)
    assert pauses.total() == 5


@pytest.mark.usefixtures("alone")
def test_it_is_installed_once_and_leaves_nothing_behind():
    """What was timed stays over another installation."""
    ticks = Ticks()
    pauses = Pauses(ticks)
    pauses.install()
    pauses.install()
    assert len(gc.callbacks) == 1
    collection(pauses, ticks, 20)
    pauses.uninstall()
    assert gc.callbacks == []
    pauses.install()
    collection(pauses, ticks, 3)
    assert pauses.total() == 23
    pauses.forget()
    assert pauses.total() == 0
    assert gc.callbacks == [pauses.callback]


@pytest.mark.usefixtures("alone")
def test_real_collections_run_no_python_frame():
    """A profile function, which sees every frame, sees none in a collection."""
    pauses = Pauses()
    pauses.install()
    frames = []
    gc.collect()
    before = pauses.total()
    assert before > 0
    sys.setprofile(lambda frame, event, _: frames.append((event, frame.f_code.co_name)))
    gc.collect()
    sys.setprofile(None)
    assert [name for event, name in frames if event == "call"] == []
    assert pauses.total() > before


@pytest.mark.usefixtures("alone")
def test_threads_can_parse_while_the_collector_runs():
    """`ast.parse` in several threads bears our callback; CPython 3.11 bears no other.

    A function of Python's there makes it fail: "AST constructor recursion depth".
    """
    pauses = Pauses()
    pauses.install()
    source = "x = [" + ", ".join(f"f({n}, (a, b))" for n in range(200)) + "]\n"
    errors, totals = [], []
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()

    def parse():
        try:
            for _ in range(6):
                ast.parse(source)
                totals.append(pauses.total())
        except BaseException as error:  # noqa: BLE001 - SystemError is none of Exception's
            errors.append(error)

    threads = [threading.Thread(target=parse) for _ in range(4)]
    gc.set_threshold(50)
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.set_threshold(*threshold)
        sys.setswitchinterval(interval)
    assert errors == []
    assert totals[-1] > 0


@pytest.mark.usefixtures("alone")
def test_readers_in_threads_never_see_it_go_back():
    """Several readers agree that the total only grows, whatever collections run."""
    pauses = Pauses()
    pauses.install()
    backwards = []

    def read():
        last = 0
        for _ in range(500):
            now = pauses.total()
            if now < last:
                backwards.append((last, now))
            last = now
            gc.collect(0)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert backwards == []
