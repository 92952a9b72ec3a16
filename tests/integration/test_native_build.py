"""The extension module is optional: as the package is built, and as it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sources(tmp_path):
    """What a wheel is built of, apart from this checkout."""
    folder = tmp_path / "project"
    kept = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "src", folder / "src", ignore=kept)
    for name in (
        "pyproject.toml",
        "hatch_build.py",
        "README.md",
        "LICENSE",
        ".gitignore",
    ):
        shutil.copy(ROOT / name, folder / name)
    return folder


def wheel(folder, **environment):
    """Build a wheel; gives its name, what is in it, and what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (made,) = (folder / "dist").glob("*.whl")
    names = zipfile.ZipFile(made).namelist()
    return made.name, [n for n in names if n.endswith(".so")], done.stdout + done.stderr


@pytest.mark.skipif(
    not shutil.which("gcc") or sys.implementation.name != "cpython",
    reason="there is no C compiler",
)
def test_a_wheel_with_the_module(sources):
    """With a compiler the wheel is for this platform, and has the module once."""
    name, modules, _ = wheel(sources, STAGELIGHT_NATIVE="1")
    assert "none-any" not in name
    assert len(modules) == 1
    assert modules[0].startswith("stagelight/_native.")


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"STAGELIGHT_NATIVE": "1", "CC": "/bin/false"}, "Error"),
        ({"STAGELIGHT_NATIVE": "0"}, "STAGELIGHT_NATIVE is 0"),
    ],
)
def test_a_wheel_without_it(sources, environment, why):
    """Without a compiler, or where it is not wanted, it is pure Python, and says so."""
    name, modules, said = wheel(sources, **environment)
    assert name.endswith("-py3-none-any.whl")
    assert modules == []
    assert "pure Python" in said
    assert why in said


def test_the_record_path_without_it():
    """The unit tests of stages and journeys pass in pure Python as well."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            # A full stack may be just where the collector asks our Python function.
            *("-k", "not test_a_full_stack"),
            *(f"tests/unit/{name}" for name in ("stage", "journey", "record")),
        ],
        cwd=ROOT,
        env={**os.environ, "STAGELIGHT_NATIVE": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
