from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import stagelight
from harness.timing import least

ROOT = Path(stagelight.__file__).parent

#: Module -> layer. A module imports from its own layer or a lower one. Inside a layer
#: the order of this table holds too, so that there is no cycle.
LAYERS = [
    # L0 words
    *[
        (0, name)
        for name in (
            "_version",
            "_metric",
            "_process_metrics",
            "_own_names",
            "_names",
            "_errors",
            "_refusals",
            "_model",
            "_insights",
            "_patterns",
            "_redaction",
            "_capture",
            "_declared",
            "_accepted",
            "_config",
            "_secrets",
            "_vendors",
            "_promql",
            "_grafana",
        )
    ],
    # L1 record
    *[
        (1, name)
        for name in (
            "_guard",
            "_sinks",
            "_native",  # in C, it imports nothing
            "_extension",
            "_cells",
            "_pauses",
            "_folding",
            "_distribution",
            "_detailed",
            "_slices",
            "_totals",
            "_seconds",
            "_shapes",
            "_slots",
            "_workers",
            "_peak",
            "_records",
            "_buffers",
            "_registry",
            "_ids",
            "_deferred",
            "_cpu",
            "_tracer",
            "_detail",
            "_toll",
            "_budget",
            "_current",
            "_journey",
            "_outcomes",
            "_aside",
            "_quiet",
            "_traced",
            "_spans",
            "_late",
            "_trail",
            "_producers",
            "_turns",
            "_onward",
            "_explicit",
            "_heritage",
            "_carrier",
            "_announce",
            "_frames",
            "_light",
            "_runs",
            "_driving",
            "_items",
            "_async_items",
            "_compiled",
            "_bodies",
            "_call",
            "_sampling",
            "_pinned",
        )
    ],
    # L2 observe, and read
    *[
        (2, name)
        for name in (
            "_sight",
            "_insight",
            "_bottleneck",
            "_limiting",
            "_cost",
            "_process",
            "_snapshot",
            "_register",
            "_known",
            "_automatic",
            "_retry",
            "_twin",
            "_queue",
            "_pool",
            "_stage",
            "_failures",
            "_pipeline",
            "_proxies",
        )
    ],
    # L3 emit
    *[
        (3, name)
        for name in (
            "_renewal",
            "_metrics",
            "_logs",
            "_recorder",
            "_rescue",
            "_backlog",
            "_watched",
            "_export",
            "_lifecycle",
            "_environment",
            "_providers",
            "_flushing",
            "_setup",
            "testing",
        )
    ],
    # L4 operate
    (4, "health"),
    (4, "server"),
    (4, "fleet"),
    (4, "alerts"),
    (4, "_doctor"),
    (4, "instrumentation"),
    (4, "dask"),
    # L5 use
    (5, "cli"),
    (5, "__main__"),
]
ORDER = {name: number for number, (_, name) in enumerate(LAYERS)}
LEVEL = {name: layer for layer, name in LAYERS}


def module_of(path: Path) -> str:
    """The top-level module or package of a source file."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(node: ast.stmt) -> list[str]:
    """Top-level modules of ours that a statement imports."""
    if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        parts = node.module.split(".")
        if parts[0] != "stagelight":
            return []
        return [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
    if isinstance(node, ast.Import):
        names = [alias.name.split(".") for alias in node.names]
        return [parts[1] for parts in names if parts[0] == "stagelight" and parts[1:]]
    return []


def at_run_time(tree: ast.Module) -> list[ast.stmt]:
    """Statements of a module that run when it is imported."""
    found: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        found.append(node)
    return found


SOURCES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    """No module imports a higher layer, not even late, and there are no cycles."""
    here = module_of(path)
    assert here in ORDER, f"give {here} a place in LAYERS"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in at_run_time(tree):
        for name in imported(node):
            if name in ORDER and name != here:
                assert ORDER[name] < ORDER[here], f"{here} imports {name}"
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name in imported(node):
                if name in LEVEL:
                    assert LEVEL[name] <= LEVEL[here], f"{here} imports {name} late"


def test_the_sdk_is_imported_where_it_may() -> None:
    """Only the emitting layer names the SDK, only ``_providers`` makes exporters."""
    users = {
        module_of(path)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(
            ("opentelemetry.sdk", "opentelemetry.exporter")
        )
    }
    places = {"_metrics", "_providers", "_recorder", "_lifecycle", "testing"}
    assert users <= places


def test_files_stay_small() -> None:
    """No source file has more than 320 lines."""
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in SOURCES
    }
    assert {name: size for name, size in sizes.items() if size > 320} == {}


def test_public_names_are_exactly_these() -> None:
    """The public surface changes only on purpose."""
    assert stagelight.__all__ == [
        "Capture",
        "ConfigurationError",
        "ObservedStage",
        "Pipeline",
        "Server",
        "StagelightError",
        "__version__",
        "asgi_app",
        "configure",
        "detail",
        "drop",
        "force_flush",
        "journey",
        "retry",
        "serve",
        "shutdown",
    ]
    for name in stagelight.__all__:
        value = getattr(stagelight, name)
        assert name.startswith("__") or value.__doc__, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as it does for any module."""
    with pytest.raises(AttributeError, match="has no attribute 'pipelines'"):
        stagelight.pipelines  # noqa: B018


BUDGET = """
import json, sys, time
import opentelemetry._logs, opentelemetry.metrics, opentelemetry.trace
import opentelemetry.propagate
before = set(sys.modules)
start = time.process_time()
import stagelight
took = time.process_time() - start
pipeline = stagelight.Pipeline("p")
@pipeline.stage
def stage(event):
    return event
stage(1)
print(json.dumps([took, sorted(set(sys.modules) - before)]))
"""
HEAVY = (
    "opentelemetry.sdk",
    "opentelemetry.exporter",
    "opentelemetry.instrumentation",
    "asyncio",
    "concurrent",
    "multiprocessing",
    "grpc",
    "requests",
    "http",
    "click",
    "rich",
    "psutil",
    "wrapt",
    "starlette",
    "uvicorn",
)


def test_import_budget() -> None:
    """Importing and using a stage loads nothing heavy; it takes under 60 ms of CPU."""

    def load() -> float:
        result = subprocess.run(
            [sys.executable, "-c", BUDGET], capture_output=True, text=True, check=True
        )
        seconds, modules = json.loads(result.stdout)
        loaded = [name for name in modules if name.split(".")[0] in HEAVY]
        loaded += [name for name in modules if name.startswith(HEAVY[:3])]
        assert loaded == []
        return seconds

    assert least(load, 0.06, tries=20) < 0.06
