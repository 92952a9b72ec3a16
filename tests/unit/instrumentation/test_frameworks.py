"""The base that all framework instrumentors share, tried on frameworks of our own."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stagelight import _config
from stagelight._registry import REGISTRY
from stagelight.instrumentation import _hooks, _install
from stagelight.instrumentation._ledger import LEDGER
from stagelight.instrumentation.frameworks import _catalog, _register, _steps, _table
from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._catalog import FRAMEWORKS, Framework
from stagelight.instrumentation.frameworks._delivery import root

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = "stagelight.instrumentation.frameworks"
SOURCE = """
class Runner:
    def run(self, job):
        return job * 2
    async def run_later(self, job):
        return job * 3
class Half(Exception):
    pass
"""


def framework(name: str, **changes: Any) -> Framework:
    """A framework whose package is one that is surely installed."""
    known = {
        "distribution": "pytest",
        "versions": ">=1",
        "module": f"made_{name}",
        "waits_for": (f"lib_{name}",),
        "stages": "each job",
    }
    return Framework(name, **{**known, **changes})


def observe(_instance: object, args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Call:
    """Every job is an event of the stage of its own name."""
    return Call(_steps.step("job", rule="a job"), args[0], root())


def hooks(module: Any, patches: Any) -> None:
    """Wrap both kinds of function."""
    patches.around(module.Runner, "run", observe)


@pytest.fixture
def libs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes importable frameworks, known to us with these hooks."""
    monkeypatch.syspath_prepend(str(tmp_path))
    known: list[Framework] = []
    monkeypatch.setattr(_register, "FRAMEWORKS", known)
    made: list[str] = []

    def make(name: str, hook: Any = hooks, text: str = SOURCE, **changes: Any) -> None:
        (tmp_path / f"lib_{name}.py").write_text(text)
        own = types.ModuleType(f"{HOME}.made_{name}")
        own.HOOKS = {f"lib_{name}": hook}
        own.__dict__.update(changes.pop("own", {}))
        sys.modules[own.__name__] = own
        made.append(name)
        known.append(framework(name, **changes))

    LEDGER.clear(_config.Settings(pipeline="unit"))
    try:
        yield make
    finally:
        _hooks.clear()
        _register.uninstall()
        LEDGER.clear()
        for name in made:
            sys.modules.pop(f"lib_{name}", None)
            sys.modules.pop(f"{HOME}.made_{name}", None)


def states() -> dict[str, str]:
    """What became of each framework."""
    return {one.name: one.state for one in _register.STATUS.values()}


@pytest.mark.usefixtures("lenient")
def test_one_that_raises_stops_no_other(libs: Any, caplog: Any):
    """An instrumentor that raises leaves its framework alone, and all others work."""

    def half(module: Any, patches: Any) -> None:
        hooks(module, patches)
        raise RuntimeError("half way")

    libs("first")
    libs("bad", half)
    libs("last")
    _register.install()
    modules = [
        importlib.import_module(f"lib_{one}") for one in ("first", "bad", "last")
    ]
    assert [module.Runner().run(2) for module in modules] == [4, 4, 4]
    assert states() == {"first": "observed", "bad": "not observed", "last": "observed"}
    assert _register.STATUS["bad"].detail == "RuntimeError: half way"
    assert type(vars(modules[1].Runner)["run"]) is types.FunctionType
    record = LEDGER.pipeline._record.stages["job"]
    assert record.totals().count == 2
    assert "stagelight failed in framework" in caplog.text


def test_an_unsupported_version_is_left_alone(libs: Any, caplog: Any):
    """A version outside of the bounds stays unobserved, and is told once."""
    libs("old", versions="<1")
    libs("absent", distribution="surely-no-such-distribution")
    _register.install()
    for name in ("old", "absent"):
        assert importlib.import_module(f"lib_{name}").Runner().run(1) == 2
    assert states() == {"old": "not observed", "absent": "not observed"}
    assert f"version {pytest.__version__} is not <1" in _register.STATUS["old"].detail
    assert [one.levelname for one in caplog.records] == ["WARNING"]


def test_a_pre_release_of_a_supported_version_is_observed(
    libs: Any, monkeypatch: pytest.MonkeyPatch
):
    """Users of a release candidate are no strangers."""
    libs("early")
    monkeypatch.setattr(_register, "_version", lambda _: "2.0rc1")
    _register.install()
    importlib.import_module("lib_early")
    assert states() == {"early": "observed"}


@pytest.mark.usefixtures("lenient")
def test_a_half_imported_module_is_left_alone(libs: Any, tmp_path: Path):
    """A module that is still being imported when we come lacks what we look for."""
    libs("half", text="import lib_helper\n" + SOURCE)
    libs("whole")
    (tmp_path / "lib_helper.py").write_text(
        "from stagelight.instrumentation.frameworks import _register\n"
        "_register.install()\n"
    )
    assert importlib.import_module("lib_half").Runner().run(1) == 2
    assert _register.STATUS["half"].detail == (
        "lib_half was only half imported when stagelight came"
    )
    assert importlib.import_module("lib_whole").Runner().run(2) == 4
    assert states() == {"half": "not observed", "whole": "observed"}
    assert LEDGER.pipeline._record.stages["job"].totals().count == 1


def test_an_import_that_fails_stays_so(libs: Any):
    """The error of a framework that cannot be imported is the framework's own."""
    libs("broken", text="import surely_no_such_module")
    _register.install()
    with pytest.raises(ModuleNotFoundError, match="surely_no_such_module"):
        importlib.import_module("lib_broken")
    assert states() == {}


def test_somebody_else_traces_it(libs: Any):
    """A framework that says that it is traced already is not touched."""
    libs("other", own={"stands_aside": lambda _module: "traced by another package"})
    _register.install()
    module = importlib.import_module("lib_other")
    assert type(vars(module.Runner)["run"]) is types.FunctionType
    assert _register.STATUS["other"].detail == "traced by another package"


STANDS_ASIDE = """
import queue, threading
from concurrent.futures import ThreadPoolExecutor

class Task:
    def process(self, event):
        return event

INBOX, POOL = queue.Queue(), ThreadPoolExecutor(1)
INBOX.put(1)
POOL.submit(Task().process, INBOX.get()).result()
POOL.shutdown()
"""


@pytest.mark.parametrize("name", sorted(_catalog.ASIDE))
def test_a_framework_with_telemetry_of_its_own(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """None of what it makes and runs is ours, even if it runs from its checkout."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(STANDS_ASIDE)
    _install.install(_config.Settings(pipeline="unit"))
    try:
        importlib.import_module(name)
        status = _register.STATUS[name]
    finally:
        _install.uninstall()
        LEDGER.clear()
        sys.modules.pop(name, None)
    assert (status.state, status.detail) == ("left alone", _catalog.ASIDE[name])
    home = REGISTRY.pipelines.get("unit")
    assert home is None or not (home.stages or home.queues or home.pools)


def test_everything_is_put_back(libs: Any):
    """After uninstalling a framework has its own functions, and no stage grows."""
    libs("lib")
    _register.install()
    module = importlib.import_module("lib_lib")
    module.Runner().run(1)
    _register.uninstall()
    assert type(vars(module.Runner)["run"]) is types.FunctionType
    assert module.Runner().run(1) == 2
    assert LEDGER.pipeline._record.stages["job"].totals().count == 1


@pytest.mark.usefixtures("lenient")
def test_a_hook_that_raises_changes_no_call(libs: Any):
    """What raises in our look at a call is counted, and the call goes on."""

    def broken(*_: object) -> Call:
        raise LookupError

    libs("lib", lambda module, patches: patches.around(module.Runner, "run", broken))
    _register.install()
    assert importlib.import_module("lib_lib").Runner().run(2) == 4
    from stagelight import _guard

    assert _guard.ERRORS == {"framework": 1}


def test_a_call_that_raises_is_a_failure_with_its_own_traceback(libs: Any):
    """The exception passes, and the traceback shows nothing of ours at its start."""
    libs("lib")
    _register.install()
    module = importlib.import_module("lib_lib")
    with pytest.raises(TypeError) as caught:
        module.Runner().run(None)
    files = [
        entry.path.name for entry in caught.traceback if hasattr(entry.path, "name")
    ]
    assert files == ["test_frameworks.py", "lib_lib.py"]
    record = LEDGER.pipeline._record.stages["job"]
    assert record.totals().outcomes() == {"failure": 1}


def test_suppressed_instrumentation_is_followed(libs: Any):
    """Inside suppress_instrumentation() nothing is recorded."""
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    libs("lib")
    _register.install()
    module = importlib.import_module("lib_lib")
    with suppress_instrumentation():
        assert module.Runner().run(1) == 2
    assert "job" not in LEDGER.pipeline._record.stages


def test_a_long_or_odd_name_becomes_a_label():
    """Stage names are cut and cleaned; the source tells namesakes apart."""
    assert _steps.tidy("a" * 70) == "a" * 61 + "..."
    assert _steps.tidy("two\nlines ") == "two lines"
    assert _steps.tidy("") == "unnamed"


def test_the_catalogue_fits_the_files():
    """Every row has a file with the hooks it waits for, and bounds that parse."""
    from packaging.specifiers import SpecifierSet

    for one in FRAMEWORKS:
        own = importlib.import_module(f"{HOME}.{one.module}")
        assert set(own.HOOKS) == set(one.waits_for), one.name
        assert SpecifierSet(one.versions)
    assert len({one.name for one in FRAMEWORKS}) == len(FRAMEWORKS)


def test_the_table_has_a_row_for_each():
    """The table of the page is made of the catalogue."""
    lines = _table.table().splitlines()
    assert len(lines) == 2 + len(FRAMEWORKS)
    assert {line.count("|") for line in lines} == {7}


def test_a_framework_that_is_run_is_no_application():
    """What ``-m kedro`` makes for itself is Kedro's, an unknown package's is not."""
    assert _catalog.is_known("kedro")
    assert _catalog.is_known("distributed.cli.dask_worker")
    assert _catalog.is_known("prefect")
    assert not _catalog.is_known("shop.kedro")


def test_the_page_of_frameworks_has_the_table():
    """README.md and docs/frameworks.md have the tables, and name who is left alone."""
    root = Path(__file__).parents[3]
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert f"\n{_table.summary()}\n" in readme
    text = (root / "docs" / "frameworks.md").read_text(encoding="utf-8")
    assert f"\n{_table.table()}\n" in text
    assert f"their own: {', '.join(sorted(_catalog.ASIDE))}." in " ".join(text.split())


def test_importing_the_catalogue_loads_no_framework():
    """The hooks cost a program that uses no framework next to nothing."""
    program = (
        "import sys\n"
        "from stagelight.instrumentation.frameworks import _register\n"
        "before = set(sys.modules)\n"
        "_register.install()\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
