"""Hooks that tell of a module once it was imported."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
import zipfile

import pytest

from stagelight.instrumentation import _hooks


@pytest.fixture
def told(monkeypatch, tmp_path):
    """Names of the modules that were told of; modules of the test are in a folder."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(_hooks, "_ACTIVE", {})
    monkeypatch.setattr(_hooks, "_AWAITED", set())
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield []
    for name in set(sys.modules) - before:
        del sys.modules[name]


def wait(told, name):
    """Wait for a module."""
    _hooks.when_imported(name, lambda module: told.append((name, module)))


def test_a_module_is_told_of_once_it_has_run(told, tmp_path):
    """With its contents, once, and with the loader that it would have had."""
    (tmp_path / "some_module.py").write_text("value = 1\n", encoding="utf-8")
    plain = importlib.util.find_spec("some_module").loader
    wait(told, "some_module")
    module = importlib.import_module("some_module")
    [(name, seen)] = told
    assert (name, seen, seen.value) == ("some_module", module, 1)
    assert module.__loader__ == module.__spec__.loader == plain
    importlib.reload(module)
    assert len(told) == 1


def test_to_look_for_a_module_tells_nothing(told, tmp_path):
    """It is not there yet."""
    (tmp_path / "some_module.py").touch()
    wait(told, "some_module")
    assert importlib.util.find_spec("some_module") is not None
    assert told == []
    importlib.import_module("some_module")
    assert len(told) == 1


def test_one_that_is_there_is_told_of_at_once(told):
    """Nothing is waited for then."""
    wait(told, "sys")
    assert told == [("sys", sys)]


def test_modules_that_wait_inside_of_one_another(told, tmp_path):
    """A package, and the module that it imports."""
    (tmp_path / "outside").mkdir()
    text = "from outside import inside\n"
    (tmp_path / "outside" / "__init__.py").write_text(text, encoding="utf-8")
    (tmp_path / "outside" / "inside.py").touch()
    wait(told, "outside")
    wait(told, "outside.inside")
    importlib.import_module("outside")
    assert [name for name, _ in told] == ["outside.inside", "outside"]


def test_modules_of_an_archive(told, tmp_path):
    """They share one loader."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("first_one.py", "import second_one")
        archive.writestr("second_one.py", "")
    sys.path.insert(0, str(tmp_path / "all.zip"))
    wait(told, "first_one")
    wait(told, "second_one")
    importlib.import_module("first_one")
    assert [name for name, _ in told] == ["second_one", "first_one"]


def test_a_loader_that_is_a_class_stays_as_it_is(told, monkeypatch):
    """Built-in modules have one for all."""
    loader = importlib.util.find_spec("_symtable").loader
    monkeypatch.delitem(sys.modules, "_symtable", raising=False)
    wait(told, "_symtable")
    module = importlib.import_module("_symtable")
    assert [name for name, _ in told] == ["_symtable"]
    assert module.__loader__ is module.__spec__.loader is loader
    assert isinstance(loader, type)


def test_a_module_that_fails_fails_as_without_us(told, tmp_path):
    """It is told of when it succeeds later, and our frames are not in between."""
    path = tmp_path / "some_module.py"
    path.write_text("1 / 0\n", encoding="utf-8")
    wait(told, "some_module")
    with pytest.raises(ZeroDivisionError) as caught:
        importlib.import_module("some_module")
    assert told == []
    files = [one.filename for one in traceback.extract_tb(caught.value.__traceback__)]
    assert files[-1] == str(path)
    path.write_text("value = 10_000\n", encoding="utf-8")
    importlib.invalidate_caches()
    assert importlib.import_module("some_module").value == 10_000
    assert [name for name, _ in told] == ["some_module"]


def test_after_clear_nobody_is_told(told, tmp_path):
    """And nobody stands in the way of imports."""
    (tmp_path / "some_module.py").touch()
    wait(told, "some_module")
    _hooks.clear()
    importlib.import_module("some_module")
    assert told == []
    assert _hooks._FINDER not in sys.meta_path
