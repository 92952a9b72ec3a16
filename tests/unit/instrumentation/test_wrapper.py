"""Wrapped functions and methods, pickled and copied."""

from __future__ import annotations

import copy
import pickle
import sys

import pytest

from stagelight.instrumentation.frameworks._wrapper import Wrapper


class Sums:
    """A class of a framework."""

    def __init__(self, start: int) -> None:
        self.start = start

    def add(self, number: int) -> int:
        """Add to the start."""
        return self.start + number

    @classmethod
    def make(cls, start: int) -> Sums:
        """Make one."""
        return cls(start)


def double(number: int) -> int:
    """A function of a framework."""
    return number * 2


def _through(wrapped, _instance, args, kwargs):
    return wrapped(*args, **kwargs)


@pytest.fixture(autouse=True)
def wrapped(monkeypatch):
    """All of them are wrapped."""
    monkeypatch.setattr(Sums, "add", Wrapper(vars(Sums)["add"], _through))
    monkeypatch.setattr(Sums, "make", Wrapper(vars(Sums)["make"], _through))
    monkeypatch.setattr(sys.modules[__name__], "double", Wrapper(double, _through))


def test_they_pickle_by_name():
    """A function, bound and unbound methods; nothing of ours is in the bytes."""
    for function, arguments, result in (
        (double, (4,), 8),
        (Sums(1).add, (4,), 5),
        (Sums.add, (Sums(2), 4), 6),
        (Sums.make(3).add, (4,), 7),
    ):
        sent = pickle.dumps(function)
        assert b"frameworks" not in sent
        assert pickle.loads(sent)(*arguments) == result
    assert pickle.loads(pickle.dumps(Sums.make))(5).start == 5


def test_a_function_that_nobody_can_name_is_sent_itself(monkeypatch):
    """A wrapper that is not where its function is stands for the function."""
    hidden = double
    monkeypatch.setattr(sys.modules[__name__], "double", double.__wrapped__)
    assert pickle.loads(pickle.dumps(hidden)) is double


def test_they_copy():
    """A function is its own copy; a bound method's deep copy has another object."""
    assert copy.copy(double) is double is copy.deepcopy(double)
    sums = Sums(1)
    other = copy.deepcopy(sums.add)
    sums.start = 100
    assert other(1) == 2
    assert copy.copy(sums.add)(1) == 101
