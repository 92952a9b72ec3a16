"""The joints of automatic observation, put in and taken out again in one process."""

from __future__ import annotations

import asyncio
import builtins
import importlib
import logging
import queue
import sys
import threading
import types
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

import stagelight
from stagelight import _guard
from stagelight._config import Settings
from stagelight._outcomes import EVENT_KEY
from stagelight._patterns import parse_pattern
from stagelight._registry import REGISTRY
from stagelight.instrumentation import _install, _matching, _origin
from stagelight.instrumentation._ledger import LEDGER

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = {
    "build": builtins.__build_class__,
    "queue": queue.Queue.__init__,
    "asyncio": asyncio.Queue.__init__,
    "threads": ThreadPoolExecutor.__init__,
    "processes": ProcessPoolExecutor.__init__,
}


@pytest.fixture
def install() -> Iterator:
    """Puts the joints in with these patterns; they are taken out at the end."""
    path, modules, keys = sys.path[:], set(sys.modules), EVENT_KEY[:]

    def put_in(*patterns, **settings):
        stages = tuple(parse_pattern(one) for one in patterns)
        _install.install(Settings(pipeline="unit", stages=stages, **settings))

    yield put_in
    _install.uninstall()
    LEDGER.clear()
    EVENT_KEY[:] = keys
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def module(tmp_path):
    """Makes an importable module of the application's, or a library's."""

    def make(name, text, *, library=False):
        folder = tmp_path / "site-packages" if library else tmp_path
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        return lambda: importlib.import_module(name)

    return make


def found(kind):
    """Names of what is observed."""
    record = REGISTRY.pipelines.get("unit")
    return sorted(getattr(record, kind)) if record else []


def said(caplog):
    """What we warned of."""
    return [one.getMessage() for one in caplog.records if one.name == "stagelight"]


def test_everything_is_put_back(install):
    """Without the joints, every class and built-in is the very one that it was."""
    install("app:*")
    assert builtins.__build_class__ is not PLAIN["build"]
    assert queue.Queue.__init__ is not PLAIN["queue"]
    _install.uninstall()
    _install.uninstall()
    assert {
        "build": builtins.__build_class__,
        "queue": queue.Queue.__init__,
        "asyncio": asyncio.Queue.__init__,
        "threads": ThreadPoolExecutor.__init__,
        "processes": ProcessPoolExecutor.__init__,
    } == PLAIN
    queue.Queue()
    assert found("queues") == []


def test_queues_and_pools_are_named_after_what_holds_them(install, module):
    """A variable, an attribute, a key, a prefix of threads: the first that there is."""
    install()
    app = module(
        "app",
        "import asyncio, queue, multiprocessing\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "jobs = queue.Queue(5)\n"
        "first, second = queue.Queue(), queue.LifoQueue()\n"
        "class Holder:\n"
        "    def __init__(self):\n"
        "        self.inbox = queue.PriorityQueue()\n"
        "        self.by_name = {'orders': queue.Queue()}\n"
        "        self.by_name['late'] = queue.Queue()\n"
        "holder = Holder()\n"
        "pool = ThreadPoolExecutor(2)\n"
        "named = ThreadPoolExecutor(2, thread_name_prefix='enricher')\n"
        "shared = multiprocessing.Queue()\n"
        "loop_jobs = asyncio.Queue()\n",
    )()
    assert set(found("queues")) >= {
        *("jobs", "first", "second", "inbox", "late", "shared", "loop_jobs")
    }
    assert found("pools") == ["enricher", "pool"]
    app.jobs.put(1)
    assert REGISTRY.pipelines["unit"].queues["jobs"].enqueued == 1
    app.pool.shutdown()
    app.named.shutdown()


def test_queues_inside_of_libraries_are_not_observed(install, module):
    """What a library makes for itself is its own affair; what it makes for us too."""
    install()
    module(
        "library",
        "import queue\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "class Client:\n"
        "    def __init__(self):\n"
        "        self.inner = queue.Queue()\n"
        "        self.pool = ThreadPoolExecutor(1)\n"
        "class OwnQueue(queue.Queue):\n"
        "    def __init__(self):\n"
        "        super().__init__(3)\n",
        library=True,
    )
    app = module(
        "app", "import library\nclient = library.Client()\nq = library.OwnQueue()\n"
    )()
    assert (found("queues"), found("pools")) == (["q"], [])
    # The standard library's own: an executor's work queue, a logging listener's.
    with ThreadPoolExecutor(1) as executor:
        executor.submit(int).result()
    assert type(app.client.inner) is queue.Queue
    assert type(app.client.inner).put is queue.Queue.put


def test_classes_with_a_process_method_are_stages(install, module):
    """Classes of the application's, by the type of what is processed in."""
    install()
    app = module(
        "app",
        "from abc import ABC, abstractmethod\n"
        "import logging\n"
        "class Base(ABC):\n"
        "    @abstractmethod\n"
        "    def process(self, event): ...\n"
        "class Parser(Base):\n"
        "    def process(self, event):\n"
        "        return event + 1\n"
        "class Shared:\n"
        "    def process(self, event):\n"
        "        return self.hook(event)\n"
        "class Left(Shared):\n"
        "    def hook(self, event): return 'left'\n"
        "class Right(Shared):\n"
        "    def hook(self, event): return 'right'\n"
        "class Nothing:\n"
        "    def process(self): return 7\n"
        "class Adapter(logging.LoggerAdapter):\n"
        "    def process(self, msg, kwargs): return msg, kwargs\n",
    )()
    assert app.Parser().process(1) == 2
    assert (app.Left().process(1), app.Right().process(1)) == ("left", "right")
    assert app.Nothing().process() == 7
    app.Adapter(logging.getLogger("x"), {}).process("m", {})
    assert found("stages") == ["Left", "Parser", "Right"]
    process = app.Parser.process
    _install.uninstall()
    assert app.Parser.process is not process
    assert app.Parser().process(1) == 2
    assert stagelight.Pipeline("unit").stats()["stages"]["Parser"]["count"] == 1


def test_classes_of_libraries_are_no_stages(install, module):
    """A library's class that happens to have a process method stays as it is."""
    install()
    library = module(
        "library",
        "class Filter:\n    def process(self, event):\n        return event\n",
        library=True,
    )()
    assert library.Filter().process(3) == 3
    assert found("stages") == []


def test_a_process_method_that_a_library_decorates_is_a_stage(install, module):
    """A library's decorator, as one that retries, takes nothing from the class."""
    install()
    module(
        "library",
        "import functools\n"
        "def twice(function):\n"
        "    @functools.wraps(function)\n"
        "    def wrapper(*args, **kwargs):\n"
        "        function(*args, **kwargs)\n"
        "        return function(*args, **kwargs)\n"
        "    return wrapper\n",
        library=True,
    )()
    app = module(
        "app",
        "import library\n"
        "class Parser:\n"
        "    @library.twice\n"
        "    def process(self, event):\n"
        "        return event + 1\n",
    )()
    assert app.Parser().process(1) == 2
    assert found("stages") == ["Parser"]


TEXT = """
def load_rows(event):
    return event
def load_files(event):
    return event
def other(event):
    return event
class Steps:
    def transform(self, event):
        return event
    @staticmethod
    def check(event):
        return event
    @classmethod
    def make(cls, event):
        return event
    class Inner:
        def transform(self, event):
            return event
    limit = 3
"""


@pytest.mark.parametrize(
    ("pattern", "stages"),
    [
        ("app:load_rows", ["load_rows"]),
        ("app:load_rows=rows", ["rows"]),
        ("app:load_*", ["load_files", "load_rows"]),
        ("app:*", ["load_files", "load_rows", "other"]),
        ("app:Steps.transform", ["Steps.transform"]),
        ("app:Steps.*", ["Steps.check", "Steps.make", "Steps.transform"]),
        ("app:*.transform", ["Steps.transform"]),
        ("app:Steps.Inner.*", ["Steps.Inner.transform"]),
        ("ap?:other", ["other"]),
        ("nowhere:other", []),
    ],
)
def test_declared_functions(install, module, pattern, stages):
    """Exact names and globs; a glob stays within its part of the name."""
    install(pattern)
    app = module("app", TEXT)()
    calls = [app.load_rows, app.load_files, app.other, app.Steps().transform]
    calls += [app.Steps.check, app.Steps().check, app.Steps.make]
    calls.append(app.Steps.Inner().transform)
    assert [call(number) for number, call in enumerate(calls)] == list(range(8))
    assert found("stages") == stages
    _install.uninstall()
    assert not hasattr(app.load_rows, "__wrapped__")
    assert isinstance(vars(app.Steps)["check"], staticmethod)
    assert isinstance(vars(app.Steps)["make"], classmethod)


def test_a_glob_over_modules_means_the_applications_own(install, module):
    """``*:load`` finds the application's function, and leaves libraries alone."""
    install("*:load")
    module("library", "def load(event):\n    return event\n", library=True)()
    module("third", "from library import load\n")()
    assert sys.modules["third"].load is sys.modules["library"].load
    app = module("app", "def load(event):\n    return event\n")()
    module("other", "from app import load\n")()
    assert sys.modules["library"].load(1) == sys.modules["other"].load(1) == 1
    assert app.load(1) == 1
    stats = stagelight.Pipeline("unit").stats()["stages"]
    assert {name: stage["count"] for name, stage in stats.items()} == {"load": 2}


def test_a_module_that_was_there_before(install, module, caplog):
    """It is patched as well, with a warning that names what escaped."""
    app = module("app", TEXT)()
    taken = app.other
    install("app:other")
    app.other(1)
    taken(2)
    assert stagelight.Pipeline("unit").stats()["stages"]["other"]["count"] == 1
    (line,) = said(caplog)
    assert "app:other was imported before stagelight came" in line
    assert "Use stagelight run, or declare a method" in line


def test_a_pattern_that_matched_nothing(install, module, caplog):
    """At the end one warning for each, with the nearest names that there are."""
    install("app:lode_rows", "app:load_rows", "gone:thing")
    module("app", TEXT)()
    _install.complain()
    _install.complain()
    first, second = said(caplog)
    assert first.startswith("stagelight: the pattern app:lode_rows matched nothing; ")
    assert "nearest are app:load_rows" in first
    assert second.startswith("stagelight: the pattern gone:thing matched nothing; ")


def test_what_is_no_python_function(install, module, caplog):
    """A built-in that was declared stays as it is, and one warning says why."""
    install("app:fast", "app:Steps.upper")
    app = module("app", "fast = len\nclass Steps(str):\n    upper = str.upper\n")()
    assert (app.fast("ab"), app.Steps("a").upper()) == (2, "A")
    assert app.fast is len
    lines = said(caplog)
    assert len(lines) == 2
    assert all("it is no Python function" in line for line in lines)


def test_a_stage_that_the_program_observes_itself(install, module):
    """An explicit stage counts once, under the name that the program gave it."""
    install("app:work")
    app = module(
        "app",
        "import stagelight\n"
        "pipeline = stagelight.Pipeline('unit')\n"
        "@pipeline.stage(name='mine')\n"
        "def work(event):\n    return event\n"
        "class Step:\n"
        "    def process(self, event): return event\n"
        "plain = Step()\n"
        "plain.process(0)\n"  # seen by itself, until the program says otherwise
        "step = pipeline.stage(Step(), name='step')\n",
    )()
    app.work(1)
    assert (app.step.process(1), app.plain.process(2)) == (1, 2)
    stats = stagelight.Pipeline("unit").stats()["stages"]
    assert {name: stage["count"] for name, stage in stats.items()} == {
        "mine": 1,
        "Step": 1,
        "step": 1,
    }


def test_which_queues_are_wanted(install, module):
    """Globs of the settings choose among queues and pools by their names."""
    install(queues=("jobs*", "!jobs_old"))
    module(
        "app",
        "import queue\njobs = queue.Queue()\njobs_old = queue.Queue()\n"
        "other = queue.Queue()\n",
    )()
    assert found("queues") == ["jobs"]


def test_namesakes_are_numbered_and_bounded(install, module, caplog):
    """Living queues of one name get numbers; far too many are left out, once told."""
    install()
    app = module(
        "app",
        "import queue\ndef make():\n    scratch = queue.Queue()\n    return scratch\n",
    )()
    kept = [app.make() for _ in range(70)]
    names = found("queues")
    assert len(names) == 64
    assert {"scratch", "scratch-2", "scratch-64"} <= set(names)
    (line,) = said(caplog)
    assert "Leave them out with queues = ['!scratch']" in line
    kept.clear()
    app.make()
    assert len(found("queues")) == 64  # the names of those that are gone serve again


def test_threads_make_queues_at_once(install, module):
    """Many threads that make queues of one name disturb neither each other nor us."""
    install()
    app = module(
        "app", "import queue\ndef make():\n    box = queue.Queue()\n    return box\n"
    )()
    kept = []
    threads = [
        threading.Thread(target=lambda: kept.append(app.make())) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found("queues")) == len(kept) == 20


@pytest.mark.usefixtures("lenient")
def test_an_error_of_ours_never_reaches_the_program(install, module, monkeypatch):
    """Where observing fails, the program gets its plain queue and its plain class."""

    def broken(*_, **__):
        raise RuntimeError("ours")

    install("app:*")
    monkeypatch.setattr(LEDGER, "observe", broken)
    monkeypatch.setattr(_matching, "find", broken)
    app = module(
        "app",
        "import queue\njobs = queue.Queue()\ndef load(event):\n    return event\n"
        "class Step:\n    def process(self, event): return event\n",
    )()
    app.jobs.put(1)
    assert (app.jobs.get(), app.load(2), app.Step().process(3)) == (1, 2, 3)
    assert set(_guard.ERRORS) == {"instrument"}


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize(
    "joint",
    ["_queues", "_executors", "_threads", "_targets", "_classes", "_frameworks"],
)
def test_a_joint_that_fails_stops_no_other(install, module, monkeypatch, joint):
    """What one joint raises as it is put in is counted; all others are put in."""

    def broken(*_):
        raise OSError(joint)

    monkeypatch.setattr(getattr(_install, joint), "install", broken)
    install("app:load")
    app = module(
        "app",
        "import queue\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "jobs, pool = queue.Queue(), ThreadPoolExecutor(1)\npool.shutdown()\n"
        "def load(event):\n    return event\n"
        "class Step:\n    def process(self, event): return event\n",
    )()
    app.jobs.put(1)
    assert (app.jobs.get(), app.load(2), app.Step().process(3)) == (1, 2, 3)
    seen = found("queues") + found("pools") + found("stages")
    lost = {
        "_queues": "jobs",
        "_executors": "pool",
        "_targets": "load",
        "_classes": "Step",
    }
    assert seen == [
        one for one in ("jobs", "pool", "Step", "load") if one != lost.get(joint)
    ]
    assert _guard.ERRORS == {"instrument": 1}
    _install.uninstall()
    assert builtins.__build_class__ is PLAIN["build"]


@pytest.mark.usefixtures("lenient")
def test_an_instrumentor_that_fails_stops_no_launcher(monkeypatch, tmp_path):
    """Whatever fails in ours, the launcher goes on to everybody else's."""
    from stagelight.instrumentation import StagelightInstrumentor, _instrumentor

    def broken(*_, **__):
        raise OSError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_instrumentor, "_adopt", broken)
    monkeypatch.setattr(_install, "install", broken)
    monkeypatch.setattr(_install, "uninstall", broken)
    instrumentor = StagelightInstrumentor()
    instrumentor.instrument(tracer_provider=None)
    instrumentor.uninstrument()
    assert _guard.ERRORS == {"instrument": 2, "uninstrument": 1}


def test_the_entry_point(monkeypatch, tmp_path):
    """``opentelemetry-instrument`` finds the instrumentor, and may undo it."""
    (entry,) = entry_points(group="opentelemetry_instrumentor", name="stagelight")
    monkeypatch.chdir(tmp_path)
    instrumentor = entry.load()()
    assert instrumentor.instrumentation_dependencies() == ()
    instrumentor.instrument(tracer_provider=None)
    try:
        assert builtins.__build_class__ is not PLAIN["build"]
    finally:
        instrumentor.uninstrument()
        LEDGER.clear()
    assert builtins.__build_class__ is PLAIN["build"]


def test_a_bad_configuration_stops_no_launcher(monkeypatch, tmp_path, caplog):
    """The instrumentor warns, and observes with its defaults."""
    from stagelight.instrumentation import StagelightInstrumentor

    monkeypatch.chdir(tmp_path)
    (tmp_path / "stagelight.toml").write_text("typo = 1\n")
    instrumentor = StagelightInstrumentor()
    instrumentor.instrument(tracer_provider=None)
    try:
        assert queue.Queue.__init__ is not PLAIN["queue"]
    finally:
        instrumentor.uninstrument()
        LEDGER.clear()
    (line,) = said(caplog)
    assert line.startswith("stagelight goes on without its configuration; ")
    assert "unknown key 'typo'" in line


def test_modules_are_what_they_were(install, module):
    """Docstrings, names, signatures and defaults of what is declared stay."""
    install("app:load")
    app = module(
        "app", 'def load(event, *, n: int = 3) -> int:\n    "Load."\n    return n\n'
    )()
    function = app.load
    assert isinstance(function, types.FunctionType)
    assert (function.__name__, function.__module__) == ("load", "app")
    assert (function.__doc__, function.__kwdefaults__) == ("Load.", {"n": 3})
    assert function(1, n=4) == 4


def test_a_frameworks_checkout_is_no_application(tmp_path):
    """A framework run from its own sources is a library, the program beside it not."""
    package = tmp_path / "luigi" / "contrib"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    assert not _origin.is_application(str(package / "hive.py"))
    assert not _origin.is_application(str(package.parent / "worker.py"))
    assert _origin.is_application(str(tmp_path / "luigi.py"))
